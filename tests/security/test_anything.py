"""Sends requests beyond openapi.json: unknown paths, triggers of random values, websockets."""

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from tests.security.hostile import VALUES
from tests.support.problems import problem_of
from tests.support.services import Service
from tests.support.triggers import make_scheduled

JSON = {"content-type": "application/json"}
TRIGGER_FIELDS = ["name", "payload", "tags", "details", "type", "id", "status"]
DETAILS = ["time", "interval", "recurring", "cron", "timezone", "until", "max_fires", "schema"]


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


async def test_no_address_is_our_fault(ada: httpx.AsyncClient) -> None:
    for path in PATHS:
        for method in ("GET", "POST", "DELETE", "HEAD", "TRACE", "BREW"):
            answer = await ada.request(method, path)

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
    {"type": st.sampled_from(["scheduled", "api", "heartbeat"])},
    optional={
        "name": ANYTHING,
        "payload": ANYTHING,
        "tags": ANYTHING,
        "details": st.dictionaries(st.sampled_from(DETAILS), ANYTHING, max_size=4),
    },
)


@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(TRIGGERS)
async def test_no_trigger_is_our_fault(ada: httpx.AsyncClient, trigger: dict[str, Any]) -> None:
    content = json.dumps(trigger).encode()
    known = (await ada.get("/triggers", params={"type": "scheduled"})).json()
    changed_id = (known[-1] if known else await make_scheduled(ada))["id"]

    for answer in (
        await ada.post("/triggers", content=content, headers=JSON),
        await ada.patch(f"/triggers/{changed_id}", content=content, headers=JSON),
    ):
        assert answer.status_code in {200, 201, 422}, answer.text
        if answer.status_code == 422:
            problem_of(answer, 422)


async def test_a_websocket_is_turned_away(service: Service) -> None:
    sent: list[Message] = []
    scope = {"type": "websocket", "path": "/triggers", "headers": [], "query_string": b""}

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await service.app(scope, receive, send)

    assert [message["type"] for message in sent] == ["websocket.close"]
