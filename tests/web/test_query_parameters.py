"""Every operation refuses parameters that it does not know, and those given twice."""

from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

import httpx
import pytest

from event_trigger.web.query_parameters import QueryRules
from tests.support.document import described_api, operations_of
from tests.support.hooks import events_of, make_hook
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.services import Service
from tests.support.triggers import make_api

LISTS = QueryRules(
    known=frozenset({"since", "limit", "tag", "q"}),
    single=frozenset({"since", "limit", "q"}),
    instants=frozenset({"since"}),
)
# senders add queries of their own, and probes what keeps caches away
TAKES_ANY = {
    *("call_hook", "call_hook_by_get", "call_hook_by_put", "ping_hook", "ping_hook_by_get"),
    *("healthz", "readyz"),
}
SINCE = "2026-03-13T10:00:00"


def path_of(described: str) -> str:
    return described.replace("{", "").replace("}", "")


async def test_every_operation_names_a_parameter_that_it_does_not_know(
    admin: httpx.AsyncClient,
) -> None:
    operations = [one for one in operations_of(described_api()) if one.id not in TAKES_ANY]
    await make_api(admin, key="key")
    await admin.post("/destinations", json={"url": "https://93.184.216.34/", "key": "key"})

    for operation in operations:
        answer = await admin.request(operation.method, f"{path_of(operation.path)}?sinse=1")

        assert "sinse" in places_of(answer), operation.id
        assert operation.describes(answer), operation.id


async def test_every_parameter_of_one_value_is_refused_when_it_is_repeated(
    admin: httpx.AsyncClient,
) -> None:
    for operation in operations_of(described_api()):
        for given in operation.described.get("parameters", []):
            if given["in"] == "query" and given["schema"].get("type") != "array":
                name = given["name"]
                path = path_of(operation.path)

                answer = await admin.request(operation.method, f"{path}?{name}=a&{name}=b")

                assert name in places_of(answer), (operation.id, name)


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/events?sinse=1", "Did you mean 'since'?"),
        ("/events?LIMIT=1", "Did you mean 'limit'?"),
        ("/users?zzz=1", "Use one of these: cursor, limit."),
        (f"/users?{'z' * 60_000}=1", "Use one of these: cursor, limit."),
        ("/auth/me?zzz=", "takes no query parameters"),
        ("/users?limit=1&limit=1", "Give it once."),
        ("/users?" + "limit=1&" * 1000, "more than 1000 parameters"),
        ("/triggers?q=%ED%A0%80", "Write the text in UTF-8"),
        ("/triggers?q=a&%FF=1", "Write the text in UTF-8"),
    ],
)
async def test_a_refusal_says_what_to_write_instead(
    admin: httpx.AsyncClient, path: str, detail: str
) -> None:
    answer = await admin.get(path)

    assert detail in problem_of(answer, 422)["detail"]
    assert len(answer.content) < 1000


async def test_a_refusal_names_everything_that_is_wrong(admin: httpx.AsyncClient) -> None:
    misspelt = await admin.get("/triggers/1/explain?att=2026-03-13T10:00:00Z")
    in_both = await admin.post("/triggers?dry=1", json={"type": "x"})

    assert places_of(misspelt) == ["att", "at"]
    assert places_of(in_both) == ["dry", "#/type"]


async def test_without_a_credential_no_parameter_matters(anonymous: httpx.AsyncClient) -> None:
    for path in ("/triggers?x=1", "/auth/me?x=1", "/events/stream?x=1", "/triggers/1?x=1"):
        problem_of(await anonymous.get(path), 401)


async def test_an_empty_value_counts_as_absent(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, tags=["a"])
    await ada.post(f"/triggers/{made['id']}/trigger")

    for operation_id, count in {"list_triggers": 1, "list_events": 1, "list_deliveries": 0}.items():
        [operation] = [one for one in operations_of(described_api()) if one.id == operation_id]
        empty = urlencode(dict.fromkeys(operation.parameters("query"), ""))
        answer = await ada.get(f"{operation.path}?{empty}&limit=5&limit=")

        assert (answer.status_code, len(answer.json())) == (200, count)
    assert places_of(await ada.get("/triggers/1/explain?at=")) == ["at"]


async def test_text_that_is_not_escaped_is_read_as_utf8(
    service: Service, ada: httpx.AsyncClient
) -> None:
    await make_api(ada, name="Café")

    async def unescaped(scope: Any, receive: Any, send: Any) -> None:
        raw = unquote_to_bytes(scope["query_string"])  # as curl sends it
        await service.app(scope | {"query_string": raw}, receive, send)

    transport, base_url = httpx.ASGITransport(unescaped), ada.base_url
    async with httpx.AsyncClient(
        transport=transport, base_url=base_url, headers=ada.headers
    ) as curl:
        found = await curl.get("/triggers", params={"q": "café"})

    assert [one["name"] for one in found.json()] == ["Café"]


async def test_a_call_that_fires_takes_no_query_and_hooks_and_probes_take_any(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")

    fired = await ada.post(f"/triggers/{hook.trigger_id}/trigger?dry_run=true", json={})
    called = await anonymous.post(f"{hook.url}?source=build&source=test", json={})

    assert places_of(fired) == ["dry_run"]
    assert called.status_code == 200
    assert len(await events_of(ada, hook)) == 1
    assert (await anonymous.get("/healthz?x=1")).status_code == 200
    ready = await anonymous.get("/readyz?x=%FF")
    assert ready.status_code in {200, 503}  # a job may have failed in the test before


async def test_an_offset_needs_no_escaping(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)
    await ada.post(f"/triggers/{made['id']}/trigger")

    for since in (
        "2020-01-01T00:00:00+01:00",
        "2020-01-01T00:00+0100",
        "2020-01-01 00:00:00.5 00:00",
    ):
        assert len(await read_all(ada, f"/events?since={since}")) == 1, since
    assert places_of(await ada.get("/events?since=2020-01-01 10:00")) == ["since"]


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ([("limit", ""), ("tag", "a"), ("tag", ""), ("tag", "b")], [("tag", "a"), ("tag", "b")]),
        ([("since", f"{SINCE} 01:00")], [("since", f"{SINCE}+01:00")]),
        ([("since", f"{SINCE} 0100")], [("since", f"{SINCE}+0100")]),
        ([("since", "2026-03-13 10:00")], [("since", "2026-03-13 10:00")]),
        ([("q", f"{SINCE} 01:00")], [("q", f"{SINCE} 01:00")]),
    ],
)
def test_a_query_is_read_as_it_is_meant(
    sent: list[tuple[str, str]], meant: list[tuple[str, str]]
) -> None:
    assert LISTS.as_meant(sent) == meant


def test_only_a_list_may_be_repeated() -> None:
    errors = LISTS.errors_in([("tag", "a"), ("tag", "b"), ("q", "a"), ("q", "a"), ("limit", "1")])

    assert [error.name for error in errors] == ["q"]
