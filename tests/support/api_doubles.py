"""Stands in for APIs of others: each double accepts what its provider documents, and no more."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
from aiohttp import web

Schema = dict[str, Any]
JSON = r"application/json(; *charset=utf-8)?"


@dataclass(frozen=True)
class DocumentedApi:
    """One operation: the requests that it takes, and its answers to them and to all others.

    `path`, `content_type` and the values of `headers` are regular expressions for all of a text;
    `path` matches the path and query as they were sent. Without a `schema` there may be no body.
    """

    documented_at: str
    host: str
    path: str
    accepted: tuple[int, str]
    refused: tuple[int, str]
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    schema: Schema | None = None
    most_bytes: int = 1024 * 1024

    def faults_of(self, sent: "Sent") -> list[str]:
        """Names each part of a request that is not as documented."""
        faults = [] if sent.method == self.method else [f"the method {sent.method}"]
        faults += [] if re.fullmatch(self.path, sent.path) else [f"the path {sent.path}"]
        faults += [
            f"the header {name}"
            for name, pattern in self.headers.items()
            if not re.fullmatch(pattern, sent.headers.get(name.lower(), ""))
        ]
        return [*faults, *self._faults_of_body(sent)]

    def _faults_of_body(self, sent: "Sent") -> list[str]:
        if self.schema is None:
            return ["a body"] if sent.body else []
        faults = [] if len(sent.body) <= self.most_bytes else [f"{len(sent.body)} bytes"]
        content_type = sent.headers.get("content-type", "")
        if not re.fullmatch(self.content_type, content_type):
            faults.append(f"the content type {content_type}")
        try:
            value = json.loads(sent.body)
        except ValueError:
            return [*faults, "a body that is not JSON"]
        found = jsonschema_rs.validator_for(self.schema, validate_formats=True).iter_errors(value)
        return [*faults, *(f"{one.instance_path}: {one.message}" for one in found)]


@dataclass(frozen=True)
class Sent:
    """A request; `path` has the query, and the names of `headers` are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Double:
    """An API that runs on loopback, with all requests so far and what was wrong with them."""

    api: DocumentedApi
    url: str = ""
    sent: list[Sent] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        sent = Sent(request.method, request.raw_path, headers, await request.read())
        self.sent.append(sent)
        faults = self.api.faults_of(sent)
        self.faults += faults
        status, text = self.api.refused if faults else self.api.accepted
        return web.Response(status=status, text=text)


@asynccontextmanager
async def standing_in(api: DocumentedApi) -> AsyncIterator[Double]:
    double = Double(api)
    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", double.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    double.url = f"http://{host}:{port}"
    try:
        yield double
    finally:
        await runner.cleanup()
