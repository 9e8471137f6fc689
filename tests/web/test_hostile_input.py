"""No input is our fault: whatever is sent to whatever takes a body, no answer is a 5xx."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import product
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from tests.support.problems import problem_of
from tests.support.services import ADA, Service, running_service

JSON = {"content-type": "application/json"}
API, SCHEDULED = (
    {"type": "api"},
    {"type": "scheduled", "details": {"interval": 30, "recurring": True}},
)


@pytest.fixture
async def open_service(database_url: str) -> AsyncIterator[Service]:
    async with running_service(database_url, open_registration=True) as running:
        await running.client(ADA).post("/triggers", json=API)
        await running.client(ADA).post("/triggers", json=SCHEDULED)
        yield running


@pytest.fixture
def client(open_service: Service) -> httpx.AsyncClient:
    return open_service.client(ADA)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "minus one": -1,
    "2^63": 2**63,
    "-2^63-1": -(2**63) - 1,
    "4,000 digits": 10**4000,
    "the smallest double": 5e-324,
    "the largest double": 1.7976931348623157e308,
    "minus zero": -0.0,
    "empty text": "",
    "text": "a",
    "control characters": "\x01\x1b[2J\x7f\x85\u2028\u202e",
    "a noncharacter": "\uffff\U0010ffff",
    "an emoji": "\U0001f469\u200d\U0001f680",
    "combining": "e\u0301" * 100,
    "long text": "x" * 100_000,
    "SQL": "'; DROP TABLE triggers; --",
    "a LIKE pattern": "%_\\",
    "a format": "%s%n{0}{{}}$1:a",
    "a folder of time zones": "Europe",
    "an absolute path": "/etc/passwd",
    "a time": "2026-03-13T10:00:00Z",
    "year 1": "0001-01-01T00:00:00Z",
    "year 9999": "9999-12-31T23:59:59.999999Z",
    "year 9999 with an offset": "9999-12-31T23:59:59-23:59",
    "a leap second": "2016-12-31T23:59:60Z",
    "an offset too large": "2026-01-01T00:00:00+99:99",
    "digits of another script": "\u0662\u0660\u0662\u0666-03-13T10:00:00Z",
    "a duration": "PT90S",
    "a duration too long": "P9999999999Y",
    "a duration with 400 digits": "PT" + "9" * 400 + "S",
    "a cron": "* * * * *",
    "a cron that never matches": "0 0 31 2 *",
    "a cron with large numbers": "99999999999999999999 * * * *",
    "a cron with a long list": ",".join(["1"] * 5000) + " * * * *",
    "a cron with a step of zero": "*/0 * * * *",
    "a cron with a large #": "0 0 * * 1#999999999999",
    "a cron with NEL": "*\x85*\x85*\x85*\x85*",
    "a list": ["a"],
    "a long list": ["a"] * 10_000,
    "a list of everything": [None, True, 1, 1.5, "a", [], {}],
    "an empty object": {},
    "an object": {"a": 1},
    "an empty name": {"": 1},
    "prototypes": {"__proto__": 1, "constructor": 1, "__class__": 1, "self": 1},
    "many names": {str(n): n for n in range(5000)},
    "50 levels": nested(50),
    "a $ref elsewhere": {"$ref": "https://example.com/schema"},
    "a $ref to itself": {"$ref": "#"},
    "a wrong schema": {"type": "nothing"},
    "a wrong pattern": {"pattern": "("},
    "a slow pattern": {"pattern": "^(a+)+$"},
    "a large pattern": {"pattern": "(x{1000}){1000}"},
    "another dialect": {"$schema": "https://example.com/dialect"},
    "odd multipleOf": {"multipleOf": 5e-324},
    "odd lengths": {"minLength": 1e308, "maxItems": -0.0},
}
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \n",
    "half": b'{"type"',
    "NaN": b'{"type": "api", "payload": {"a": NaN}}',
    "Infinity": b"Infinity",
    "1e400": b'{"a": 1e400}',
    "NUL": b'{"a": "\\u0000"}',
    "a NUL name": b'{"\\u0000": 1}',
    "raw NUL": b'{"a": "\0"}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "a name of half a surrogate pair": b'{"\\udc00": 1}',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "not UTF-8": b"\xff\xfe\xfd",
    "UTF-16": '{"type": "api"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"type": "api"}',
    "5,000 digits": b'{"a": ' + b"1" * 5000 + b"}",
    "64 levels": b'{"a":' * 64 + b"1" + b"}" * 64,
    "65 levels": b'{"a":' * 65 + b"1" + b"}" * 65,
    "500,000 lists": b"[" * 500_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a name twice": b'{"type": "api", "type": "scheduled"}',
    "null": b"null",
    "true": b"true",
    "a number": b"1",
    "text": b'"text"',
    "a list": b"[]",
    "a mebibyte of text": b'{"a": "' + b"x" * 1_000_000 + b'"}',
    "a mebibyte of names": json.dumps({str(n): 0 for n in range(80_000)}).encode(),
    "more than a mebibyte": b'{"a": "' + b"x" * 1_100_000 + b'"}',
    "a form": b"type=api&name=a",
}
TRIGGER_FIELDS = ["name", "payload", "tags", "details", "type", "id", "status"]
DETAILS = ["time", "interval", "recurring", "cron", "timezone", "until", "max_fires", "schema"]
OTHER_TYPES = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"]
OTHER_BODIES = [b"", b"\xff\xfe\xfd", b"type=api&name=a", b'{"type": "api"}']
READ_JSON = {
    "POST /triggers",
    "PATCH /triggers/1",
    "POST /triggers/1/trigger",
    "POST /triggers/1/test",
    "POST /auth/register",
    "POST /auth/refresh",
}
WRITES = {
    "POST /triggers": "POST /triggers",
    "PATCH /triggers/1": "PATCH /triggers/{trigger_id}",
    "PATCH /triggers/2": "PATCH /triggers/{trigger_id}",
    "POST /triggers/1/trigger": "POST /triggers/{trigger_id}/trigger",
    "POST /triggers/1/test": "POST /triggers/{trigger_id}/test",
    "POST /triggers/1/pause": "POST /triggers/{trigger_id}/pause",
    "POST /triggers/1/resume": "POST /triggers/{trigger_id}/resume",
    "POST /auth/register": "POST /auth/register",
    "POST /auth/refresh": "POST /auth/refresh",
    "POST /auth/token": "POST /auth/token",
}


class Expectation:
    """That an answer is no fault of ours, well formed, and of a kind that is described."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = document["paths"]

    def holds_for(self, answer: httpx.Response, operation: str) -> None:
        method, path = operation.split()
        assert answer.status_code < 500, answer.text
        assert str(answer.status_code) in self._paths[path][method.lower()]["responses"], (
            answer.text
        )
        if answer.status_code >= 400:
            problem_of(answer, answer.status_code)


@pytest.fixture
async def expectation(client: httpx.AsyncClient) -> Expectation:
    return Expectation((await client.get("/openapi.json")).json())


def crowded(value: Any) -> Iterator[tuple[str, list[str], Callable[[list[str]], Any]]]:
    """Each write with the fields it may have the value in, and how a body is made of some."""

    def flat(start: dict[str, Any]) -> Callable[[list[str]], Any]:
        return lambda fields: {**start, **dict.fromkeys(fields, value)}

    def in_details(start: dict[str, Any], **details: Any) -> Callable[[list[str]], Any]:
        return lambda fields: {**start, "details": {**details, **dict.fromkeys(fields, value)}}

    yield "POST /triggers", TRIGGER_FIELDS, flat(API)
    yield "POST /triggers", DETAILS, in_details({"type": "scheduled"})
    beside_cron = ["timezone", "until", "max_fires"]
    yield "POST /triggers", beside_cron, in_details({"type": "scheduled"}, cron="0 9 * * *")
    yield "PATCH /triggers/1", ["name", "payload", "tags", "details"], flat({})
    yield "PATCH /triggers/2", DETAILS, in_details({})


async def test_no_value_in_any_field_is_our_fault(
    client: httpx.AsyncClient, expectation: Expectation
) -> None:
    async def send(write: str, body: Any) -> httpx.Response:
        method, path = write.split()
        content = json.dumps(body).encode()
        answer = await client.request(method, path, content=content, headers=JSON)
        expectation.holds_for(answer, WRITES[write])
        return answer

    for value in VALUES.values():
        await send("POST /triggers/1/trigger", {"a": value})
        await send("POST /triggers/1/test", value)
        await send("POST /auth/register", {"email": value, "password": value})
        await send("POST /auth/refresh", {"refresh_token": value})
        for write, fields, body_of in crowded(value):
            together = await send(write, body_of(fields))
            refused = _refused(together)
            # what is refused in company is refused alone; what is not is looked at more closely
            for field in fields:
                if field not in refused:
                    await send(write, body_of([field]))

    await _everything_can_still_be_read(client)


def _refused(answer: httpx.Response) -> set[str]:
    errors = answer.json().get("errors", []) if answer.status_code == 422 else []
    return {name for error in errors for name in error["pointer"].split("/")}


async def _everything_can_still_be_read(client: httpx.AsyncClient) -> None:
    for path in (
        "/triggers?limit=1000",
        "/events?limit=1000",
        "/events?aggregate=true",
        "/auth/me",
    ):
        assert (await client.get(path)).status_code == 200


async def test_no_body_is_our_fault(client: httpx.AsyncClient, expectation: Expectation) -> None:
    for write, operation in WRITES.items():
        method, path = write.split()
        json_bodies = BODIES if write in READ_JSON else {}
        as_json = [("application/json", body) for body in json_bodies.values()]
        for media_type, body in [*as_json, *product(OTHER_TYPES, OTHER_BODIES)]:
            headers = {"content-type": media_type}
            answer = await client.request(method, path, content=body, headers=headers)

            expectation.holds_for(answer, operation)

    await _everything_can_still_be_read(client)


async def test_no_form_field_is_our_fault(
    client: httpx.AsyncClient, expectation: Expectation
) -> None:
    texts = [value for value in VALUES.values() if isinstance(value, str)]
    fields = ["username", "password", "grant_type", "scope", "client_id", "client_secret"]

    for text in [*texts, "\0", "\ud83d", "%", "+"]:
        for having in (fields, ["username"], ["client_id", "client_secret"]):
            form = {"username": "a@example.com", "password": "x", **dict.fromkeys(having, text)}
            encoded = "&".join(f"{name}={_percent(value)}" for name, value in form.items())
            answer = await client.post(
                "/auth/token",
                content=encoded.encode(),
                headers={"content-type": "application/x-www-form-urlencoded"},
            )

            expectation.holds_for(answer, "POST /auth/token")


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


async def test_no_header_is_our_fault(client: httpx.AsyncClient) -> None:
    values = [
        b"",
        b"\0",
        b"\xff",
        b"a" * 256,
        b"a" * 50_000,
        b"9" * 400,
        b"-1",
    ]
    names = [
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"origin",
        b"range",
        b"x-forwarded-host",
        b"x-request-id",
    ]

    for name in names:
        for value in values:
            headers = {b"content-type": b"application/json", name: value}
            fired = await client.post("/triggers/1/trigger", content=b"{}", headers=headers)
            listed = await client.get("/triggers?limit=1", headers={name: value})

            assert fired.status_code < 500, (name, value[:20])
            assert listed.status_code < 500, (name, value[:20])


PATHS = [
    "/%00",
    "/%ff",
    "/%ED%A0%80",
    "/..%2f..%2fetc/passwd",
    "//evil.example.com/x",
    "/triggers/%2e%2e/1",
    "/triggers/1%00",
    "/triggers/\u0661",
    "/triggers/1e5",
    "/triggers/1/trigger/",
    "/events/0x1",
    "/api/docs/assets/%00",
    "/api/docs/assets/" + "a" * 300,
    "/api/docs/assets/" + "a/" * 3000,
    "/api/docs/assets/..%2f..%2f..%2fdocs.py",
    "/" + "a" * 60_000,
]


async def test_no_address_is_our_fault(client: httpx.AsyncClient) -> None:
    for path in PATHS:
        for method in ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"):
            answer = await client.request(method, path)

            assert answer.status_code in {401, 404, 405, 422}, (method, path[:60])
            assert answer.headers["content-type"] == "application/problem+json"


NAMES = st.sampled_from([*TRIGGER_FIELDS, *DETAILS, "a"])
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from([value for value in VALUES.values() if not isinstance(value, dict | list)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
TRIGGERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["scheduled", "api"])},
    optional={
        "name": ANYTHING,
        "payload": ANYTHING,
        "tags": ANYTHING,
        "details": st.dictionaries(st.sampled_from(DETAILS), ANYTHING, max_size=4),
    },
)


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(TRIGGERS)
async def test_no_trigger_is_our_fault(
    client: httpx.AsyncClient, expectation: Expectation, trigger: dict[str, Any]
) -> None:
    content = json.dumps(trigger).encode()

    made = await client.post("/triggers", content=content, headers=JSON)
    changed = await client.patch("/triggers/2", content=content, headers=JSON)

    expectation.holds_for(made, "POST /triggers")
    expectation.holds_for(changed, "PATCH /triggers/{trigger_id}")


async def test_a_websocket_is_turned_away(open_service: Service) -> None:
    sent: list[Message] = []
    scope = {"type": "websocket", "path": "/triggers", "headers": [], "query_string": b""}

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await open_service.app(scope, receive, send)

    assert [message["type"] for message in sent] == ["websocket.close"]
