"""Runs a service in which a team has one resource of each kind, and calls it as anybody."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from json import dumps
from typing import Any
from urllib.parse import urlencode

import httpx

from event_trigger.web.dependencies import state_of
from tests.security.callers import Callers, Headers, email_of, make_callers, new_user
from tests.support.asgi import send_request
from tests.support.calendars import put_calendar
from tests.support.databases import connect
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.document import FORM, JSON, Operation, described_api, operations_of
from tests.support.heartbeats import make_heartbeat
from tests.support.keys import make_key
from tests.support.links import plant_reset
from tests.support.logins import ask_for_tokens, sign_in, tokens_of
from tests.support.mail_server import mail_settings
from tests.support.memberships import add_project
from tests.support.names import resolving
from tests.support.projects import invite, make_project
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import (
    ADA,
    PASSWORD,
    Service,
    quick_passwords,
    running_service,
)
from tests.support.sets import put_set
from tests.support.streams import listening
from tests.support.triggers import make_api

NO_SERVER = 9  # a port at which no mail server answers
_ACCEPTED = {"accept": "*/*", "accept-encoding": "gzip, deflate"}
INSTANT = "2026-03-13T10:00:00Z"
QUERIES = {
    "explain_trigger": {"at": INSTANT},
    "get_stats": {"measure": "events"},
    "list_recent": {"id": "1"},
}
BODIES: dict[str, dict[str, Any]] = {  # all others may be empty
    "sign_in": {"data": {"username": email_of("ada"), "password": PASSWORD}},
    "start_session": {"json": {"email": email_of("ada"), "password": PASSWORD}},
    "change_password": {"json": {"current": PASSWORD, "new": "eleven grey herons wading"}},
    "erase_me": {"json": {"password": "not the one"}},
    "create_project": {"json": {"name": "another"}},
    "update_project": {"json": {"name": "renamed"}},
    "update_member": {"json": {"role": "editor"}},
    "create_invitation": {"json": {"role": "viewer"}},
    "create_key": {"json": {"name": "another", "scopes": ["triggers:fire"]}},
    "create_trigger": {"json": {"type": "api"}},
    "replace_trigger": {"json": {"type": "api", "details": {"hook": {"verify": "none"}}}},
    "put_trigger_by_key": {"json": {"type": "api"}},
    "fire_trigger_batch": {"json": {"calls": [{"trigger": 1}]}},
    "act_on_triggers": {"json": {"action": "pause", "ids": [1], "dry_run": True}},
    "act_on_deliveries": {"json": {"action": "redeliver", "ids": [1], "dry_run": True}},
    "put_calendar": {"json": {"dates": ["2026-12-24"]}},
    "preview_schedule": {"json": {"details": {"cron": "@daily"}}},
    "render_destination": {"json": {"url": "https://example.com/hook"}},
    "redeliver_exhausted": {"json": {"since": INSTANT, "until": "2026-03-14T10:00:00Z"}},
}


@dataclass(frozen=True)
class Shown:
    """All parts of an answer by which a caller can tell it from another."""

    status: int
    body: bytes
    headers: Headers


@dataclass
class World:
    """A running service; `ids` are of the team's resources, by their parameter in paths."""

    service: Service
    receiver: Receiver
    url: str
    inside: httpx.AsyncClient
    outside: httpx.AsyncClient
    operations: list[Operation]
    callers: Callers
    ids: dict[str, int | str] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)
    _made: set[str] = field(default_factory=set)

    def client(self, headers: Headers) -> httpx.AsyncClient:
        return self.callers.client(headers)

    @property
    def team(self) -> httpx.AsyncClient:
        """Calls as an owner of the team who is none of the callers of the matrix."""
        return self.client(self.callers.maker)

    async def caller(self, name: str) -> Headers:
        return await self.callers.headers(name)

    async def id_of(self, name: str) -> int | str:
        if name not in self.ids:
            self.ids[name] = await self._make(name)
        return self.ids[name]

    async def _make(self, name: str) -> int | str:  # noqa: PLR0911, PLR0912 - one for each thing
        match name:
            case "trigger_id":
                destination = await self.id_of("destination_id")
                return int((await make_hooked(self.team, destinations=[destination]))["id"])
            case "token":
                return httpx.URL((await make_hooked(self.team))["hook_url"]).path.split("/")[-1]
            case "heartbeat_token":
                made = await make_heartbeat(self.team, {"interval": 60})
                return httpx.URL(made["hook_url"]).path.split("/")[-1]
            case "signal":
                return "fail"
            case "event_id":
                return await fire(self.team, {"id": await self.id_of("trigger_id")})
            case "destination_id":
                made = await make_destination(self.team, f"{self.receiver.url}/hook")
                return int(made["id"])
            case "delivery_id":
                destination = (await make_destination(self.team, self.receiver.url))["id"]
                trigger = await make_api(self.team, destinations=[destination])
                event = await fire(self.team, trigger)
                return int((await until_finished(self.team, event_id=event))[0]["id"])
            case "country":
                return "DE"
            case "region":
                return "BE"
            case "key":  # of a trigger, a destination and a calendar; first, the documented one
                number = next(self._numbers)
                key = f"key-{number}" if "key" in self._made else "nightly-report"
                self._made.add("key")
                await make_destination(self.team, f"{self.receiver.url}/hook", key=key)
                await put_calendar(self.team, key)
                return str((await make_hooked(self.team, key=key))["key"])
            case "name":  # of a set; the first is the documented example
                name = f"set-{next(self._numbers)}" if "name" in self._made else "billing"
                self._made.add("name")
                await put_set(self.team, name, {})
                return name
            case "key_id":
                return int((await make_key(self.team))["id"])
            case "session_id":
                ada = self.client(await self.callers.login("ada"))
                listed = (await ada.get("/auth/sessions")).json()
                return str(next(one["id"] for one in listed if one["is_current"]))
            case "project_id":
                return self.callers.team
            case "another_project_id":  # with the members of the team
                return await add_project(self.service, ADA, self.callers.members)
            case "invitation_id":
                return int((await invite(self.team, self.callers.team))["id"])
            case "user_id":
                body = {"email": await self._new_address(), "role": "viewer"}
                answer = await self.team.post(f"/projects/{self.callers.team}/members", json=body)
                return int(answer.json()["user_id"])
        raise AssertionError(f"say in World._make what there is of {name!r}")

    async def _new_address(self) -> str:
        """Adds a user, and gives the address."""
        name = f"user{next(self._numbers)}"
        await new_user(self.service, name)
        return email_of(name)

    async def _invitation(self) -> str:
        """Makes a token for a project that no caller is a member of."""
        host = self.client((await sign_in(self.inside, await self._new_address())).headers)
        return str((await invite(host, await make_project(host)))["token"])

    async def restore_logins(self) -> None:
        """Gives everybody the first password again, and Ada's other logins, after a change."""
        connection = await connect(self.service.database_url)
        password_hash = await quick_passwords().hash(PASSWORD)
        await connection.execute("UPDATE users SET password_hash = $1", password_hash)
        await connection.execute("UPDATE logins SET revoked_at = NULL WHERE created_at > now()")
        await connection.close()
        state_of(self.service.app).credentials.forget()
        self.callers.forget_logins()

    async def body_of(  # noqa: PLR0911 - one for each operation
        self, operation: Operation
    ) -> dict[str, Any]:
        """Gives a valid body, so that the answer depends on the caller only."""
        if operation.id == "refresh_tokens":
            tokens = tokens_of(await ask_for_tokens(self.service.client()))
            return {"json": {"refresh_token": tokens.refresh}}
        if operation.id == "register":
            email = email_of(f"registered{next(self._numbers)}")
            return {"json": {"email": email, "password": PASSWORD}}
        if operation.id == "add_user":
            return {"json": {"email": email_of(f"added{next(self._numbers)}")}}
        if operation.id == "forgot_password":
            return {"json": {"email": email_of(f"forgotten{next(self._numbers)}")}}
        if operation.id == "reset_password":
            token = await plant_reset(self.service.database_url, await self._new_address())
            return {"json": {"token": token, "new": "eleven grey herons wading"}}
        if operation.id in {
            "create_destination",
            "replace_destination",
            "put_destination_by_key",
        }:
            return {"json": {"url": self.receiver.url}}
        if operation.id == "create_calendar":
            return {"json": {"key": f"calendar-{next(self._numbers)}", "dates": []}}
        if operation.id == "add_member":
            return {"json": {"email": await self._new_address(), "role": "viewer"}}
        if operation.id == "accept_invitation":
            return {"json": {"token": await self._invitation()}}
        if operation.takes_body:
            return BODIES.get(operation.id, {"json": {}})
        return {}

    async def path_of(self, operation: Operation, **instead: int | str) -> str:
        ids = {name: await self.id_of(name) for name in operation.parameters("path")}
        if operation.id.startswith("ping_hook"):
            ids["token"] = await self.id_of("heartbeat_token")
        if operation.id == "delete_project":
            ids["project_id"] = await self.id_of("another_project_id")
        if operation.id.startswith("put_"):
            new = f"new-{next(self._numbers)}"  # or it would be replaced the next time
            ids |= {"key": new, "name": new}
        return operation.path.format(**{**ids, **instead})

    async def ask(self, operation: Operation, headers: Headers, path: str, **sent: Any) -> Shown:
        """Sends a request; a stream is opened on a real port, and left when it has begun."""
        query = sent.pop("params", QUERIES.get(operation.id))
        target = f"{path}?{urlencode(query)}" if query else path
        if operation.id == "stream_events":
            async with self.outside.stream(operation.method, target, headers=headers) as answer:
                if answer.is_error:
                    await answer.aread()
                return shown(answer)
        body, about = _encoded(**sent)
        may_be_slowed = operation.id in {
            "register",
            "forgot_password",
        }  # an address, after 20 calls
        number = next(self._numbers) % 250 if may_be_slowed else 0
        return shown(
            await send_request(
                self.service.app,
                operation.method,
                target,
                {**_ACCEPTED, **about, **headers},
                body,
                address=f"192.0.2.{number}",
            )
        )


def _encoded(
    *, json: Any = None, data: dict[str, str] | None = None, content: bytes = b""
) -> tuple[bytes, Headers]:
    if json is not None:
        return dumps(json).encode(), {"content-type": JSON}
    if data is not None:
        return urlencode(data).encode(), {"content-type": FORM}
    return content, {}


def shown(answer: httpx.Response) -> Shown:
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "date"}
    }
    body = answer.content if answer.is_closed else b""
    return Shown(answer.status_code, body, headers)


async def make_hooked(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    hook = {"verify": "none", "methods": ["GET", "POST", "PUT"]}
    return await make_api(client, details={"hook": hook}, **more)


def running_world(database_url: str) -> AbstractAsyncContextManager[Service]:
    return running_service(
        database_url,
        resolving("127.0.0.1"),
        open_registration=True,
        public_url="http://service.test",
        **mail_settings(NO_SERVER),
        **ALLOW_LOOPBACK,
    )


@asynccontextmanager
async def inhabited(database_url: str, receiver: Receiver) -> AsyncIterator[World]:
    async with (
        running_world(database_url) as service,
        listening(service) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as outside,
    ):
        inside = service.client()
        operations, callers = operations_of(described_api()), await make_callers(service)
        yield World(service, receiver, url, inside, outside, operations, callers)
