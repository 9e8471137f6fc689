"""The examples of openapi.json are true: errors are answered so, and patches do no harm."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from event_trigger.models.base import LARGEST_ID
from tests.security.hostile import NOBODYS
from tests.security.world import World, inhabited
from tests.support.calendars import put_calendar
from tests.support.databases import fresh_database
from tests.support.document import JSON, Operation
from tests.support.heartbeats import make_heartbeat
from tests.support.problems import problem_of
from tests.support.receiver import receiving
from tests.support.sets import put_set
from tests.support.triggers import make_api, make_scheduled

pytestmark = pytest.mark.asyncio(loop_scope="module")  # of the world
HARMLESS = {"name", "description", "tags", "updated_at", "warnings"}
# callers that are refused with these problems
REFUSED = {
    "missing-scope": ("narrowed", "reader"),
    "for-logins-only": ("key",),
    "narrowed-login": ("narrowed",),
    "full-login-required": ("narrowed",),
    "owner-required": ("viewer@team",),
    "for-owners-only": ("viewer@team",),
}
# answered in a state that this service is not in; tests of the features reach it
ELSEWHERE = {
    "register": {403, 429},  # open here
    "forgot_password": {403, 429},  # mails are sent here
    "accept_invitation": {403, 409, 429},
    "healthz": {503},
    "readyz": {503},
}
UNKNOWN: dict[str, Any] = {
    "session_id": UUID(int=7),
    "key": "nobodys",
    "name": "nobodys",
    "country": "XX",
    "region": "XX",
}
OUT_OF_REACH = {429, 503, 507}
CRON = {"type": "scheduled", "details": {"cron": "0 0 30 2 *"}}
HOOK_CALLS = {"call_hook": "POST", "call_hook_by_get": "GET", "call_hook_by_put": "PUT"}
PINGS = {"ping_hook": "POST", "ping_hook_by_get": "GET"}
WRONG_BODIES: dict[str, dict[str, Any]] = {
    "create_trigger": {"json": CRON},
    **{one: {"content": b"none", "headers": {"content-type": JSON}} for one in HOOK_CALLS},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(server_url: str, template: str) -> AsyncIterator[World]:
    async with (
        fresh_database(server_url, template=template) as url,
        receiving() as receiver,
        inhabited(url, receiver) as made,
    ):
        yield made


@dataclass(frozen=True)
class Provoker:
    """Calls an operation so that it answers with one of its documented errors."""

    world: World
    operation: Operation

    async def send(  # noqa: PLR0911 - one for each status
        self, status: int, example: dict[str, Any]
    ) -> httpx.Response:
        match status:
            case 401:
                return await self._unauthorized()
            case 403:
                return await self._forbidden(example)
            case 404:
                return await self._not_found()
            case 405:
                ways = PINGS if self.operation.id in PINGS else HOOK_CALLS
                other = next(one for one in ways.values() if one != self.operation.method)
                path = await self._hook_path(verify="none", methods=[other])
                return await self._ask(path=path)
            case 412:
                return await self._ask(headers={"If-Match": '"none"'}, **await self._body())
            case 413:
                return await self._ask(content=b" " * (2**20 + 1), headers={"content-type": JSON})
            case 414:
                path = await self._hook_path(verify="none")
                return await self._ask(path=path, params={"a": "b" * 8_000})
            case 415:
                encoded = {"content-type": "text/plain", "content-encoding": "gzip"}
                return await self._ask(content=b"{}", headers=encoded)
            case 422:
                return await self._invalid(example)
            case 508:
                return await self._ask(headers={"x-event-trigger-hops": "10"}, **await self._body())
        raise AssertionError(f"say in Provoker how {self.operation.id} comes to answer {status}")

    async def _unauthorized(self) -> httpx.Response:
        match self.operation.id:
            case "sign_in":
                return await self._ask(data={"username": "nobody@example.com", "password": "wrong"})
            case "refresh_tokens":
                return await self._ask(json={"refresh_token": "etr_none"})
            case "start_session":
                return await self._ask(json={"email": "nobody@example.com", "password": "wrong"})
            case operation_id if operation_id in HOOK_CALLS | PINGS:
                return await self._ask(path=await self._hook_path(verify="github"))
        nobody = {"Authorization": "Bearer nonsense"}
        return await self._ask(who="nobody", headers=nobody, **await self._body())

    async def _hook_path(self, **options: Any) -> str:
        """Makes a hook that accepts the operation's method, unless `options` say otherwise."""
        hook = {"methods": [self.operation.method], **options}
        if self.operation.id in PINGS:
            beat = await make_heartbeat(self.world.team, {"interval": 60, "hook": hook})
            return httpx.URL(beat["hook_url"]).path + "/fail"
        made = await make_api(self.world.team, details={"hook": hook})
        return httpx.URL(made["hook_url"]).path

    async def _forbidden(self, example: dict[str, Any]) -> httpx.Response:
        if self.operation.id in HOOK_CALLS:
            path = await self._hook_path(verify="none", verify_token="wanted")
            asked = {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": "other"}
            return await self._ask(path=path, params=asked)
        if self.operation.id == "start_session":
            without_tls = {"sec-fetch-site": "same-origin", "origin": "http://example.com"}
            return await self._ask(headers=without_tls, **await self._body())
        callers = REFUSED[example["type"].rpartition(":")[2]]
        for caller in callers:
            answer = await self._ask(who=caller, **await self._body())
            if answer.status_code == 403:
                break
        return answer

    async def _not_found(self) -> httpx.Response:
        if self.operation.id == "accept_invitation":
            return await self._ask(json={"token": "none"}, headers=await self.world.caller("ada"))
        if self.operation.id == "reset_password":
            return await self._ask(json={"token": "none", "new": "eleven grey herons wading"})
        names = self.operation.parameters("path")
        if names and not self.operation.id.startswith("put_"):  # those make what is not there
            ids = {one: UNKNOWN.get(one, LARGEST_ID) for one in names}
            return await self._ask(path=self.operation.path.format(**ids), **await self._body())
        elsewhere = "*" if self.operation.id == "list_projects" else str(NOBODYS)
        return await self._ask(headers={"X-Project-ID": elsewhere}, **await self._body())

    async def _invalid(self, example: dict[str, Any]) -> httpx.Response:
        [error] = example["errors"]
        if self.operation.id in WRONG_BODIES and "pointer" in error:
            return await self._ask(**WRONG_BODIES[self.operation.id])
        if "pointer" in error:
            body = await self._body()
            return await self._ask(json=body["json"] | {error["pointer"].removeprefix("#/"): 1})
        name = error["parameter"]
        if name in self.operation.parameters("path"):
            wrong = "-" if name in {"key", "name"} else 0
            path = await self.world.path_of(self.operation, **{name: wrong})
            return await self._ask(path=path, **await self._body())
        if name not in self.operation.parameters("header"):
            return await self._ask(params={name: 1001})
        return await self._ask(headers={name: "nonsense"}, **await self._body())

    async def _body(self) -> dict[str, Any]:
        return await self.world.body_of(self.operation)

    async def _ask(
        self,
        *,
        path: str | None = None,
        who: str | None = None,
        headers: dict[str, str] | None = None,
        **sent: Any,
    ) -> httpx.Response:
        is_admins = self.operation.path.startswith(("/users", "/metrics"))
        who = who or ("admin" if is_admins else "ada")
        held = await self.world.caller(who) if self.operation.needs_somebody else {}
        path = path or await self.world.path_of(self.operation)
        sent = {"params": {"at": "2026-03-13T10:00:00Z"}, **sent}
        if "at" not in self.operation.parameters("query"):
            sent["params"].pop("at", None)
        return await self.world.inside.request(
            self.operation.method, path, headers=held | (headers or {}), **sent
        )


async def test_each_example_of_an_error_is_what_the_service_answers(world: World) -> None:
    wrong, tried = [], 0

    for operation in world.operations:
        if operation.id == "delete_project":
            await world.id_of("another_project_id")
        for status, response in operation.described["responses"].items():
            left_out = OUT_OF_REACH | ELSEWHERE.get(operation.id, set()) | {409, 400}
            if status < "400" or int(status) in left_out:
                continue
            example = response["content"]["application/problem+json"]["example"]
            answer = await Provoker(world, operation).send(int(status), example)
            tried += 1
            if answer.is_success:
                await world.restore_logins()  # it may have ended them
            if not _is_as_shown(answer, example):
                wrong.append((operation.id, status, example, answer.status_code, answer.text[:300]))

    assert not wrong, "\n".join(map(str, wrong))
    assert tried > 200


def _is_as_shown(answer: httpx.Response, example: dict[str, Any]) -> bool:
    if answer.status_code != example["status"]:
        return False
    real = answer.json()
    names = ("type", "title", "status")
    is_shown = all(one in real["errors"] for one in example.get("errors", ()))
    return (
        real.keys() == example.keys()
        and all(real[name] == example[name] for name in names)
        and is_shown
    )


async def test_conflicts_are_answered_as_their_examples_show(world: World) -> None:
    team, project = world.team, world.callers.team
    key = "conflicting"
    paused = (await make_api(team, key=key))["id"]
    await team.post(f"/triggers/{paused}/pause")
    over = (await make_scheduled(team, {"time": "2026-01-01T00:00:00Z"}))["id"]
    owned = {"billing-report": {"type": "api"}}
    used = {"crm": {"url": f"{world.receiver.url}/hook"}}
    await put_calendar(team, "closed")
    await make_scheduled(team, {"cron": "@daily", "except": [{"calendar": "closed"}]})
    await put_set(team, "sales", {"triggers": owned, "destinations": used})
    await make_api(team, destinations=["crm"])
    reached = {
        "sign_in": await world.inside.post(
            "/auth/token", data=(await _sign_in_form(world)) | {"scope": "nonsense"}
        ),
        "fire_trigger": await team.post(f"/triggers/{paused}/trigger"),
        "pause_trigger": await team.post(f"/triggers/{over}/pause"),
        "resume_trigger": await team.post(f"/triggers/{over}/resume"),
        "rotate_hook": await team.post(f"/triggers/{over}/hook/rotate"),
        "delete_project": await team.delete(f"/projects/{project}"),
        "update_trigger": await team.patch(f"/triggers/{over}", json={"key": key}),
        "replace_trigger": await team.put(f"/triggers/{over}", json={"type": "api"}),
        "put_trigger_by_key": await team.put(
            f"/triggers/by-key/{key}", json={"type": "scheduled", "details": {"cron": "@daily"}}
        ),
        "fire_trigger_by_key": await team.post(f"/triggers/by-key/{key}/trigger"),
        "cancel_delivery": await team.post(
            f"/deliveries/{await world.id_of('delivery_id')}/cancel"
        ),
        "put_set": await team.put("/sets/billing", json={"triggers": owned}),
        "create_calendar": await team.post("/calendars", json={"key": "closed", "dates": []}),
        "delete_calendar": await team.delete("/calendars/closed"),
        "delete_set": await team.delete("/sets/sales"),
        "add_member": await team.post(
            f"/projects/{project}/members", json={"email": "ada@example.com", "role": "viewer"}
        ),
    }

    by_id = {operation.id: operation.described for operation in world.operations}
    for operation_id, answer in reached.items():
        response = by_id[operation_id]["responses"][str(answer.status_code)]
        example = response["content"]["application/problem+json"]["example"]
        assert _is_as_shown(answer, example), (operation_id, answer.text)


async def _sign_in_form(world: World) -> dict[str, Any]:
    [operation] = [one for one in world.operations if one.id == "sign_in"]
    form: dict[str, Any] = (await world.body_of(operation))["data"]
    return form


async def test_a_patch_as_swagger_fills_it_in_changes_nothing_of_importance(world: World) -> None:
    tried = 0

    for operation in world.operations:
        if operation.method != "PATCH":
            continue
        is_admins = operation.path.startswith("/users")
        client = world.client(await world.caller("admin")) if is_admins else world.team
        path = await world.path_of(operation)
        before = await client.patch(path, json={})
        for example in _examples_of(operation):
            after = await client.patch(path, json=example)

            assert (before.status_code, after.status_code) == (200, 200), (path, after.text)
            was, now = before.json(), after.json()
            changed = {name for name in now if now[name] != was.get(name)}
            assert changed <= HARMLESS, f"{path}: {example}"
            tried += 1

    assert tried >= 7


def _examples_of(operation: Operation) -> list[Any]:
    content = operation.described["requestBody"]["content"][JSON]
    if "examples" in content:
        return [one["value"] for one in content["examples"].values()]
    schema = operation.parts[content["schema"]["$ref"].rpartition("/")[2]]
    return [*schema["examples"]]


async def test_a_default_means_the_same_as_leaving_it_out(world: World) -> None:
    """Sends all that the descriptions of fields say is the default, as some clients do."""
    tried = 0

    for operation in world.operations:
        if operation.method != "POST" or operation.media_types != [JSON]:
            continue
        for body in _bodies_of(operation):
            filled, added = _filled(operation, body)
            if not added:
                continue
            with_defaults = await _made(world, operation, filled)
            without = await _made(world, operation, body)

            assert with_defaults == without, (operation.id, added)
            tried += added

    assert tried >= 5


def _bodies_of(operation: Operation) -> list[dict[str, Any]]:
    content = operation.described["requestBody"]["content"][JSON]
    return [one["value"] for one in content.get("examples", {}).values()]


def _filled(operation: Operation, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Adds the defaults of all fields that the body lacks, and counts them."""
    schema = operation.described["requestBody"]["content"][JSON]["schema"]
    return _with_defaults(operation, schema, body)


def _with_defaults(operation: Operation, schema: Any, body: Any) -> tuple[Any, int]:
    if not isinstance(body, dict):
        return body, 0
    if "$ref" in schema:
        schema = operation.parts[schema["$ref"].rpartition("/")[2]]
    if "discriminator" in schema:
        kind = schema["discriminator"]["mapping"][body[schema["discriminator"]["propertyName"]]]
        schema = operation.parts[kind.rpartition("/")[2]]
    filled, added = dict(body), 0
    for name, field in schema.get("properties", {}).items():
        if name in body:
            filled[name], more = _with_defaults(operation, field, body[name])
            added += more
        elif said := re.search(r"By default `(.+)`\.$", field.get("description", "")):
            filled[name] = json.loads(said[1])
            added += 1
    return filled, added


async def _made(world: World, operation: Operation, body: dict[str, Any]) -> Any:
    """Gives what an answer says but for ids, secrets, times, and whether a default was written."""
    answer = await world.team.request("POST", operation.path, json=body)
    assert answer.is_success, (operation.id, body, problem_of(answer, answer.status_code))
    shown = answer.json()
    for name in [one for one in shown if one == "id" or one.endswith(("_at", "secret", "url"))]:
        del shown[name]
    if isinstance(details := shown.get("details"), dict):
        details.pop("recurring", None)
    shown.pop("words", None)  # they may have the present instant
    shown.pop("changed", None)  # an action has less to change the second time
    return shown
