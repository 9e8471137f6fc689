"""Runs a webhook receiver on loopback: it keeps requests, and gives answers that a test sets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

ALLOW_LOOPBACK = {"webhook_allow": "127.0.0.0/8"}


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it was received; `target` is its path and query, byte for byte."""

    method: str
    target: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event_id(self) -> int:
        return int(self.message_id.rpartition("_")[2])


Behave = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """Answers by path, with a status or a function of the request; 204 where none is set."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: dict[str, int | Behave] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    remembers: bool = True

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        at = asyncio.get_running_loop().time()
        if self.remembers:
            method, target = request.method, request.raw_path
            self.received.append(Received(method, target, request.path, headers, body, at))
        told = self.answers.get(request.path, 204)
        if callable(told):
            return await told(request)
        return web.Response(status=told, text="told so", headers=self.headers)

    def at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
