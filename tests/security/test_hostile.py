"""Hostile input never causes a 5xx, or a refusal that says too little or too much."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from itertools import count
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import pytest

from tests.security.hostile import (
    BODIES,
    CURSORS,
    HEADER_VALUES,
    HEADERS,
    IDS,
    MARK,
    OTHERWISE,
    RAW_TEXTS,
    TEXTS,
    VALUES,
    nobodys_id,
)
from tests.security.world import World
from tests.support.asgi import send_request
from tests.support.calendars import put_calendar
from tests.support.document import FORM, JSON, Operation
from tests.support.logins import sign_in
from tests.support.problems import problem_of
from tests.support.services import ADA, ADMIN, BOB, token_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")  # of the world
LEAST = 80  # hostile values at each operation that writes
_addresses = count(1)


class Watch:
    """Checks every answer, and counts answers by operation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.calls: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    async def send(
        self,
        operation: Operation,
        path: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str | bytes] | None = None,
    ) -> httpx.Response:
        """Sends each call from an address of its own, since guessers are slowed by theirs."""
        number = next(_addresses)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        answer = await send_request(
            self.world.service.app,
            operation.method,
            path,
            {**(await self._credential(operation)), **(headers or {})},
            content,
            address=address,
        )
        self.calls[operation.id] += 1
        self.statuses[answer.status_code] += 1
        _judge(operation, answer)
        return answer

    async def _credential(self, operation: Operation) -> dict[str, str]:
        if not operation.needs_somebody:
            return {}
        if operation.id in {"sign_out", "end_browser_session"}:
            return (await sign_in(self.world.service.client())).headers
        if operation.id == "change_password":  # wrong ones slow down a user's signing in
            return {"Authorization": f"Bearer {token_of(BOB)}"}
        scopes = next(iter(operation.described["security"][0].values()))
        is_admins = not {"admin", "metrics:read"}.isdisjoint(scopes)
        return {"Authorization": f"Bearer {token_of(ADMIN if is_admins else ADA)}"}

    def report(self, what: str) -> str:
        faults = sum(self.statuses[one] for one in self.statuses if one >= 500)
        calls, places = self.calls.total(), len(self.calls)
        return f"{what}: {calls} hostile calls at {places} operations, 5xx = {faults}"


def _judge(operation: Operation, answer: httpx.Response) -> None:
    assert answer.status_code < 500, _said(operation, answer)
    if answer.status_code >= 400:
        problem = problem_of(answer, answer.status_code)
        assert MARK not in _without_places(problem), _said(operation, answer)
        headers = b"".join(part for header in answer.headers.raw for part in header)
        assert MARK.encode() not in headers, _said(operation, answer)
    elsewhere = answer.status_code in {307, 404, 405}  # the path led to no operation
    assert elsewhere or operation.describes(answer), _said(operation, answer)


def _said(operation: Operation, answer: httpx.Response) -> tuple[str, int, str]:
    return operation.id, answer.status_code, answer.text[:300]


def _without_places(problem: dict[str, Any]) -> str:
    """Leaves out pointers, which may repeat names from the input."""
    errors = [{"detail": one["detail"]} for one in problem.get("errors", [])]
    return json.dumps({**problem, "errors": errors}, ensure_ascii=False)


def _encoded(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")


ENCODED = [*map(_encoded, TEXTS), *RAW_TEXTS]
AS_JSON = [json.dumps(value) for value in VALUES.values()]


async def test_nothing_that_is_sent_to_be_written_is_our_fault(world: World) -> None:
    watch = Watch(world)

    for operation in world.operations:
        if not operation.writes:
            continue
        needs_all = operation.takes_body or not operation.parameters("path")
        as_json = [text.encode() for text in AS_JSON] if needs_all else []
        bodies = [*as_json, *BODIES.values()]
        for media_type, body in [*((JSON, one) for one in bodies), *OTHERWISE]:
            headers = {"content-type": media_type}
            path = await _harmless_path(world, operation)
            await watch.send(operation, path, content=body, headers=headers)
        await _send_wrong_ids(watch, operation)

    assert min(watch.calls.values()) >= LEAST
    print(watch.report("bodies and ids, where is written"))


async def _send_wrong_ids(watch: Watch, operation: Operation) -> None:
    for name in operation.parameters("path"):
        for text in [*map(_encoded, IDS), *RAW_TEXTS]:
            await watch.send(operation, await watch.world.path_of(operation, **{name: text}))


async def _harmless_path(world: World, operation: Operation) -> str:
    """Gives the path of a resource that exists; for DELETE, of one that does not."""
    if operation.method == "DELETE":
        return await world.path_of(
            operation, **{name: nobodys_id(name) for name in operation.parameters("path")}
        )
    return await world.path_of(operation)


async def test_no_field_is_our_fault(world: World) -> None:
    watch = Watch(world)

    for operation in world.operations:
        if JSON not in operation.media_types:
            continue
        path = await world.path_of(operation)
        for place, fields in _objects(operation).items():
            start = await _start(world, operation, place)
            for text in AS_JSON:
                together = [one for one in fields if one != "type"]  # it decides about the others
                answer = await watch.send(operation, path, **_body(start, place, together, text))
                refused = _refused(answer)
                # a field refused together with others is refused alone; the rest are tried alone
                for field in fields:
                    if field not in refused and len(fields) > 1:
                        await watch.send(operation, path, **_body(start, place, [field], text))

    assert min(watch.calls.values()) >= LEAST
    print(watch.report("fields"))


def _objects(operation: Operation) -> dict[str, list[str]]:
    """The fields of a body, and of the objects in it; any name, where any is taken."""
    found = operation.fields() or {"": ["a"]}
    if operation.id == "update_trigger":  # its details are described where they are created
        found["details"] = list(operation.parts["ScheduledDetails"]["properties"])
    return found


async def _start(world: World, operation: Operation, place: str) -> dict[str, Any]:
    if (operation.id, place) == ("create_trigger", "details"):
        return {"type": "scheduled", "details": {}}
    start: dict[str, Any] = (await world.body_of(operation))["json"]
    return start


def _body(start: dict[str, Any], place: str, fields: list[str], text: str) -> dict[str, Any]:
    """Puts the text of a value into fields; that of a large value is made only once."""
    if place:
        body = _object(start, {place: _object(start.get(place, {}), dict.fromkeys(fields, text))})
    else:
        body = _object(start, dict.fromkeys(fields, text))
    return {"content": body.encode(), "headers": {"content-type": JSON}}


def _object(known: dict[str, Any], texts: dict[str, str]) -> str:
    parts = {name: json.dumps(value) for name, value in known.items()} | texts
    return "{" + ", ".join(f"{json.dumps(name)}: {part}" for name, part in parts.items()) + "}"


def _refused(answer: httpx.Response) -> set[str]:
    if answer.status_code != 422:
        return set()
    errors = answer.json().get("errors", [])
    names = [error.get("pointer") or error["parameter"] for error in errors]
    return {part for name in names for part in name.split("/")}


async def test_no_form_field_is_our_fault(world: World) -> None:
    watch = Watch(world)
    forms = [one for one in world.operations if FORM in one.media_types]

    for operation in forms:
        fields = [*operation.fields().get("", ()), "client_id", "client_secret"]
        for text in ENCODED:
            for having in (fields, ["username"], ["client_id", "client_secret"]):
                start = {"username": f"{next(_addresses)}%40example.com", "password": "x"}
                form = {**start, **dict.fromkeys(having, text)}
                content = "&".join(f"{name}={one}" for name, one in form.items()).encode()
                headers = {"content-type": FORM}
                await watch.send(operation, operation.path, content=content, headers=headers)

    assert forms
    print(watch.report("form fields"))


async def test_nothing_that_is_sent_to_be_read_is_our_fault(world: World) -> None:
    watch = Watch(world)

    for operation in world.operations:
        if not operation.writes:
            await _send_wrong_ids(watch, operation)
            await _send_wrong_queries(watch, operation)

    print(watch.report("queries and ids, where is read"))


async def _send_wrong_queries(watch: Watch, operation: Operation) -> None:
    names = operation.parameters("query")
    path = await watch.world.path_of(operation)
    for text in ENCODED if names else ():
        if not text and operation.id == "stream_events":
            continue  # empty values count as absent, and then the stream has no end
        together = "&".join(f"{name}={text}" for name in names)[:60_000]
        answer = await watch.send(operation, f"{path}?{together}")
        for name in set(names) - _refused(answer):
            if operation.id != "stream_events":  # whose good ones have no end
                await watch.send(operation, f"{path}?{name}={text}")


async def test_no_cursor_shows_what_is_not_ones_own(world: World) -> None:
    watch, seen = Watch(world), []
    world.ids.clear()  # other tests have deleted some of them
    ada = world.client({"Authorization": f"Bearer {token_of(ADA)}"})
    await put_calendar(ada, str(await world.id_of("key")))  # in the project that is asked
    lists = [one for one in world.operations if "cursor" in one.parameters("query")]

    for operation in lists:
        path = await world.path_of(operation)
        for cursor in CURSORS:
            answer = await watch.send(operation, f"{path}?cursor={_encoded(cursor)}")
            if answer.is_error:
                assert [one["parameter"] for one in answer.json()["errors"]] == ["cursor"]
            else:
                seen.append(cursor)

    assert 0 < len(seen) < len(CURSORS) * len(lists)


async def test_no_header_is_our_fault(world: World) -> None:
    watch = Watch(world)
    about_bodies = {"content-length", "content-encoding"}  # what only reads takes none
    read_by_all = {"get_me": sorted({*HEADERS} - about_bodies), "fire_trigger": HEADERS}

    for operation in world.operations:
        path = await world.path_of(operation)
        if operation.id == "stream_events":
            path += "?state=archived"  # is refused, and so has an end
        for name in (*operation.parameters("header"), *read_by_all.get(operation.id, ())):
            for value in HEADER_VALUES:
                await watch.send(operation, path, headers={name: value})

    print(watch.report("headers"))


async def test_slow_bodies_hold_up_nobody_else(world: World) -> None:
    taking = [one for one in world.operations if one.takes_body and one.needs_somebody]
    before = [await _begin(world, operation) for operation in taking]

    answers = [await world.inside.get("/healthz") for _ in range(20)]
    served = await world.team.get("/triggers", params={"limit": 1})
    ended = [await _end(reader, writer) for reader, writer in before]

    assert {answer.status_code for answer in [*answers, served]} == {200}
    assert len(ended) == len(taking) >= 10
    for operation, (status, body) in zip(taking, ended, strict=True):
        assert status == 422, (operation.id, body)
        assert "not acceptable JSON" in json.loads(body)["detail"]


async def test_bodies_that_never_come_are_no_fault_of_ours(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    taking = [one for one in world.operations if one.takes_body and one.needs_somebody]
    said: list[str] = []

    async def logged() -> str:
        said.append(capsys.readouterr().out)
        return "".join(said)

    for operation in taking:
        _, writer = await _begin(world, operation)
        writer.close()
        await writer.wait_closed()
    text = await eventually(logged, lambda seen: seen.count("status=400") == len(taking))

    assert "crashed" not in text
    assert (await world.team.get("/triggers")).status_code == 200


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _begin(world: World, operation: Operation) -> Connection:
    """Sends the first bytes of a body of 100, one by one."""
    url = httpx.URL(world.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    user_id = ADMIN if operation.path.startswith("/users") else ADA
    path = await world.path_of(operation)
    media_type = operation.media_types[0]
    head = [
        f"{operation.method} {path} HTTP/1.1",
        "Host: service.test",
        f"Authorization: Bearer {token_of(user_id)}",
        f"Content-Type: {media_type}",
        "Content-Length: 100",
        "Connection: close",
    ]
    writer.write("\r\n".join([*head, "", ""]).encode())
    for byte in b'{"a": ':
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    return reader, writer


async def _end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bytes]:
    writer.write(b"x" * 94)
    await writer.drain()
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body
