"""Runs a service in which Ada has one resource of each kind, and makes all kinds of callers."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from event_trigger.web.state import state_of
from tests.support.databases import connect
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.document import Operation, described_api, operations_of
from tests.support.keys import ALL_SCOPES, make_key
from tests.support.logins import ask_for_tokens, sign_in, tokens_of
from tests.support.names import resolving
from tests.support.receiver import ALLOW_LOOPBACK, Receiver, receiving
from tests.support.services import ADA, PASSWORD, Service, quick_passwords, running_service
from tests.support.streams import listening
from tests.support.triggers import make_api

READ_SCOPES = ["triggers:read", "events:read", "destinations:read"]
_EMAILS = {"ada": "ada@example.com", "bob": "bob@example.com", "admin": "admin@example.com"}
INSTANT = "2026-03-13T10:00:00Z"
QUERIES = {"explain_trigger": {"at": INSTANT}}
BODIES: dict[str, dict[str, Any]] = {  # all others may be empty
    "sign_in": {"data": {"username": _EMAILS["ada"], "password": PASSWORD}},
    "change_password": {"json": {"current": PASSWORD, "new": "eleven grey herons wading"}},
    "create_key": {"json": {"name": "another", "scopes": ["triggers:fire"]}},
    "create_trigger": {"json": {"type": "api"}},
    "preview_schedule": {"json": {"details": {"cron": "@daily"}}},
    "redeliver_exhausted": {"json": {"since": INSTANT, "until": "2026-03-14T10:00:00Z"}},
}
Headers = dict[str, str]


@dataclass(frozen=True)
class Shown:
    """All parts of an answer by which a caller can tell it from another."""

    status: int
    body: bytes
    headers: Headers


@dataclass
class World:
    """A running service; `ids` are of Ada's resources, by their parameter in paths."""

    service: Service
    receiver: Receiver
    url: str
    inside: httpx.AsyncClient
    outside: httpx.AsyncClient
    operations: list[Operation]
    ids: dict[str, int | str] = field(default_factory=dict)
    callers: dict[str, Headers] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)

    def client(self, headers: Headers) -> httpx.AsyncClient:
        client = self.service.client()
        client.headers.update(headers)
        return client

    @property
    def ada(self) -> httpx.AsyncClient:
        return self.service.client(ADA)

    async def caller(self, name: str) -> Headers:
        if name not in self.callers:
            self.callers[name] = await self._make_caller(name)
        return self.callers[name]

    async def _make_caller(self, name: str) -> Headers:  # noqa: PLR0911 - one for each caller
        match name:
            case "nobody":
                return {}
            case "reader":
                return await self._key(*READ_SCOPES)
            case "limited":
                other = await make_api(self.ada)
                return await self._key(*ALL_SCOPES, trigger_ids=[other["id"]])
            case "narrowed":
                form = {"username": _EMAILS["ada"], "password": PASSWORD, "scope": "triggers:fire"}
                answer = await self.service.client().post("/auth/token", data=form)
                return tokens_of(answer).headers
            case "lesser":
                tokens = await sign_in(
                    self.service.client(), _EMAILS["admin"], scope="triggers:read"
                )
                return tokens.headers
            case "deleted":
                key = await make_key(self.ada)
                await self.ada.delete(f"/auth/keys/{key['id']}")
                return {"X-API-Key": key["key"]}
            case "signedout":
                headers = (await sign_in(self.service.client())).headers
                await self.client(headers).post("/auth/logout")
                return headers
        return (await sign_in(self.service.client(), _EMAILS[name])).headers

    async def _key(self, *scopes: str, **more: Any) -> Headers:
        return {"X-API-Key": (await make_key(self.ada, *scopes, **more))["key"]}

    async def restore_logins(self) -> None:
        """Gives everybody their first password and login again, after a change of either."""
        connection = await connect(self.service.database_url)
        password_hash = await quick_passwords().hash(PASSWORD)
        await connection.execute("UPDATE users SET password_hash = $1", password_hash)
        await connection.execute("UPDATE logins SET revoked_at = NULL WHERE created_at > now()")
        await connection.close()
        state_of(self.service.app).credentials.forget()
        self.callers.clear()

    async def id_of(self, name: str) -> int | str:
        if name not in self.ids:
            self.ids[name] = await self._make(name)
        return self.ids[name]

    async def _make(self, name: str) -> int | str:  # noqa: PLR0911 - one for each thing
        match name:
            case "trigger_id":
                destination = await self.id_of("destination_id")
                return int((await make_hooked(self.ada, destinations=[destination]))["id"])
            case "token":
                return httpx.URL((await make_hooked(self.ada))["hook_url"]).path.split("/")[-1]
            case "event_id":
                return await fire(self.ada, {"id": await self.id_of("trigger_id")})
            case "destination_id":
                made = await make_destination(self.ada, f"{self.receiver.url}/hook")
                return int(made["id"])
            case "delivery_id":
                destination = (await make_destination(self.ada, self.receiver.url))["id"]
                trigger = await make_api(self.ada, destinations=[destination])
                event = await fire(self.ada, trigger)
                return int((await until_finished(self.ada, event_id=event))[0]["id"])
            case "key_id":
                return int((await make_key(self.ada))["id"])
            case "session_id":
                client = self.client((await sign_in(self.service.client())).headers)
                listed = (await client.get("/auth/sessions")).json()
                return str(next(one["id"] for one in listed if one["is_current"]))
            case "user_id":
                email = f"{next(self._numbers)}@example.com"
                body = {"email": email, "password": PASSWORD}
                return int((await self.inside.post("/auth/register", json=body)).json()["id"])
        raise AssertionError(f"say in World._make what there is of {name!r}")

    async def body_of(self, operation: Operation) -> dict[str, Any]:
        """Gives a valid body, so that the answer depends on the caller only."""
        if operation.id == "refresh_tokens":
            tokens = tokens_of(await ask_for_tokens(self.service.client()))
            return {"json": {"refresh_token": tokens.refresh}}
        if operation.id == "register":
            email = f"{next(self._numbers)}@example.com"
            return {"json": {"email": email, "password": PASSWORD}}
        if operation.id == "create_destination":
            return {"json": {"url": self.receiver.url}}
        if operation.takes_body:
            return BODIES.get(operation.id, {"json": {}})
        return {}

    async def path_of(self, operation: Operation, **instead: int | str) -> str:
        ids = {name: await self.id_of(name) for name in operation.parameters("path")}
        return operation.path.format(**{**ids, **instead})

    async def ask(self, operation: Operation, headers: Headers, path: str, **sent: Any) -> Shown:
        """Sends a request; a stream is opened on a real port, and left when it has begun."""
        sent = {"headers": headers, "params": QUERIES.get(operation.id), **sent}
        if operation.id != "stream_events":
            return shown(await self.inside.request(operation.method, path, **sent))
        async with self.outside.stream(operation.method, path, **sent) as answer:
            if answer.is_error:
                await answer.aread()
            return shown(answer)


def shown(answer: httpx.Response) -> Shown:
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "date"}
    }
    body = answer.content if answer.is_closed else b""
    return Shown(answer.status_code, body, headers)


async def make_hooked(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    return await make_api(client, details={"hook": {"verify": "none"}}, **more)


@asynccontextmanager
async def inhabited(database_url: str) -> AsyncIterator[World]:
    async with (
        receiving() as receiver,
        running_service(
            database_url, resolving("127.0.0.1"), open_registration=True, **ALLOW_LOOPBACK
        ) as service,
        listening(service) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as outside,
    ):
        inside = service.client()
        yield World(service, receiver, url, inside, outside, operations_of(described_api()))
