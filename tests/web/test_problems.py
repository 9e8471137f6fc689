"""Every error is a problem that says how to mend the request, and never repeats its input."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.databases import connect
from tests.support.destinations import make_destination
from tests.support.locks import lock_row, until_somebody_waits
from tests.support.logins import refresh, sign_in, tokens_of
from tests.support.one_server import one_server
from tests.support.outages import cable_to
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, PASSWORD, Service, running_service
from tests.support.triggers import make_api, read
from tests.support.waiting import eventually

JSON = {"content-type": "application/json"}
LIMIT = 1024 * 1024
PUBLIC = {
    "POST /invitations/accept",
    *(f"{method} /hooks/{{token}}" for method in ("GET", "POST", "PUT")),
    *(f"{method} /hooks/{{token}}/{{signal}}" for method in ("GET", "POST")),
    "POST /auth/token",
    "POST /auth/refresh",
    "POST /auth/register",
    "POST /auth/forgot",
    "POST /auth/reset",
    "POST /console/session",
    "GET /healthz",
    "GET /readyz",
}
CANARY = "canary-7f3a9c"


def big(size: int) -> bytes:
    """JSON of exactly this many bytes."""
    start, end = b'{"type": "api", "payload": {"a": "', b'"}}'
    return start + b"x" * (size - len(start) - len(end)) + end


async def chunked(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


async def test_an_unknown_address_is_a_404(anonymous: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/triggers/", "/api/docs/assets/nothing.js", "/api/docs/assets/%00"):
        answer = await anonymous.get(path)

        assert problem_of(answer, 404)["type"] == "urn:event-trigger:problem:not-found", path


async def test_somebody_elses_id_answers_as_one_that_does_not_exist(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    made = (await ada.post("/triggers", json={"type": "api"})).json()["id"]

    for method, end in [("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/trigger")]:
        hers = await bob.request(method, f"/triggers/{made}{end}")
        nobodys = await bob.request(method, f"/triggers/{made + 1000}{end}")

        problem_of(hers, 404)
        assert hers.content == nobodys.content


async def test_a_405_lists_all_allowed_methods(ada: httpx.AsyncClient) -> None:
    expected = {
        ("PUT", "/triggers"): "GET, HEAD, POST, OPTIONS",
        ("POST", "/triggers/1"): "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
        ("GET", "/triggers/1/pause"): "POST, OPTIONS",
        ("PUT", "/auth/me"): "GET, HEAD, PATCH, DELETE, OPTIONS",
        ("POST", "/api/docs"): "GET, HEAD, OPTIONS",
    }

    for (method, path), allowed in expected.items():
        answer = await ada.request(method, path)

        problem_of(answer, 405)
        assert answer.headers["allow"] == allowed, path


async def test_a_body_of_one_mebibyte_is_read_and_one_byte_more_is_not(
    ada: httpx.AsyncClient,
) -> None:
    whole = await ada.post("/triggers", content=big(LIMIT), headers=JSON)
    in_chunks = await ada.post("/triggers", content=chunked(big(LIMIT)), headers=JSON)
    too_large = await ada.post("/triggers", content=big(LIMIT + 1), headers=JSON)
    too_large_in_chunks = await ada.post("/triggers", content=chunked(big(LIMIT + 1)), headers=JSON)

    assert (whole.status_code, in_chunks.status_code) == (201, 201)
    for answer in (too_large, too_large_in_chunks):
        assert problem_of(answer, 413)["type"] == "urn:event-trigger:problem:content-too-large"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]


async def test_a_large_body_is_refused_unread_and_before_anything_else(
    anonymous: httpx.AsyncClient,
) -> None:
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    for path in ("/triggers", "/auth/token", "/auth/refresh", "/nothing"):
        headers = {**JSON, "content-length": str(LIMIT + 1)}
        answer = await anonymous.post(path, content=unread(), headers=headers)

        problem_of(answer, 413)


async def test_a_large_form_is_refused(anonymous: httpx.AsyncClient) -> None:
    form = b"username=a&password=" + b"x" * LIMIT
    headers = {"content-type": "application/x-www-form-urlencoded"}

    announced = await anonymous.post("/auth/token", content=form, headers=headers)
    in_chunks = await anonymous.post("/auth/token", content=chunked(form), headers=headers)

    problem_of(announced, 413)
    problem_of(in_chunks, 413)


async def test_a_body_must_say_that_it_is_json(ada: httpx.AsyncClient) -> None:
    body = b'{"type": "api"}'
    right = ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
    wrong = [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/a/b+json",
    ]

    taken = [await ada.post("/triggers", content=body, headers={"content-type": t}) for t in right]
    refused = [
        await ada.post("/triggers", content=body, headers={"content-type": t}) for t in wrong
    ]
    without = await ada.post("/triggers", content=body)

    assert [answer.status_code for answer in taken] == [201, 201, 201]
    for answer in [*refused, without]:
        assert "application/json" in problem_of(answer, 415)["detail"]


BROKEN = {
    b"{": "JSON",
    b"\xff": "UTF-8",
    b"NaN": "NaN",
    b'{"type": "api", "payload": {"a": Infinity}}': "Infinity",
    b'{"type": "api", "payload": {"a": 1e400}}': "too large",
    b'{"type": "api", "name": "\\u0000"}': "U+0000",
    b'{"type": "api", "name": "\\ud800"}': "surrogate",
    b'{"type": "api", "type": "api"}': "twice",
    b'{"type": "api", "payload": ' + b'{"a":' * 64 + b"1" + b"}" * 65: "64 levels",
    b"[" * 100_000: "64 levels",
}


async def test_json_that_cannot_be_stored_is_refused_in_words(ada: httpx.AsyncClient) -> None:
    for body, word in BROKEN.items():
        answer = await ada.post("/triggers", content=body, headers=JSON)

        assert places_of(answer) == ["#"]
        assert word in problem_of(answer, 422)["detail"], body[:60]


PLACES: list[tuple[Any, list[str]]] = [
    ({}, ["#/type"]),
    ([], ["#"]),
    (None, ["#"]),
    ("api", ["#"]),
    ({"type": "weekly"}, ["#/type"]),
    ({"type": 5}, ["#/type"]),
    ({"type": None}, ["#/type"]),
    ({"type": "api", "api": 1}, ["#/api"]),
    ({"type": "api", "scheduled": 1}, ["#/scheduled"]),
    ({"type": "api", "a/b~c": 1}, ["#/a~1b~0c"]),
    ({"type": "api", "x" * 5000: 1}, ["#/" + "x" * 100]),
    ({"type": "api", "name": 5}, ["#/name"]),
    ({"type": "api", "name": ""}, ["#/name"]),
    ({"type": "api", "tags": "a"}, ["#/tags"]),
    ({"type": "api", "tags": ["a", 5, ""]}, ["#/tags/1", "#/tags/2"]),
    ({"type": "api", "payload": [1]}, ["#/payload"]),
    ({"type": "scheduled"}, ["#/details"]),
    ({"type": "scheduled", "details": {"recurring": 1, "interval": 5}}, ["#/details/recurring"]),
    ({"type": "scheduled", "details": {"every": 5}}, ["#/details/every"]),
    ({"type": "api", "name": 5, "tags": 5, "payload": 5}, ["#/name", "#/payload", "#/tags"]),
]


async def test_each_refused_part_of_a_path_is_named_once(ada: httpx.AsyncClient) -> None:
    for method, path, names in (
        ("POST", "/triggers/by-key/A1/trigger", ["key"]),
        ("POST", "/triggers/by-key/A1/pause", ["key"]),
        ("DELETE", "/projects/x/invitations/y", ["project_id", "invitation_id"]),
        ("GET", "/triggers/1_0", ["trigger_id"]),
    ):
        answer = await ada.request(method, path)

        assert sorted(places_of(answer)) == sorted(names), path


async def test_a_header_that_names_the_caller_or_the_project_is_sent_once(
    ada: httpx.AsyncClient,
) -> None:
    [project] = (await ada.get("/projects")).json()
    token = ada.headers["Authorization"]
    for method in ("GET", "POST"):
        for name, value in (("X-Project-ID", str(project["id"])), ("Authorization", token)):
            request = ada.build_request(method, "/triggers", json={})
            twice = [(name.encode(), value.encode())] * 2
            request.headers = httpx.Headers([*request.headers.raw, *twice])

            assert places_of(await ada.send(request)) == [name], (method, name)


async def test_each_refused_part_of_a_body_is_pointed_at(ada: httpx.AsyncClient) -> None:
    for body, places in PLACES:
        answer = await ada.post("/triggers", json=body)

        assert sorted(places_of(answer)) == places, str(body)[:80]


WRONG: list[tuple[str, str, Any, str]] = [
    ("POST", "/triggers", {"type": "api", "Name": "a"}, "Did you mean 'name'?"),
    ("POST", "/triggers", {"type": "scheduled", "details": {"corn": "@daily"}}, "mean 'cron'?"),
    ("POST", "/triggers", {"type": "api", "details": {"shcema": {}}}, "Did you mean 'schema'?"),
    ("POST", "/triggers", {"type": "api", "details": {"corn": "@daily"}}, "Leave it out"),
    ("POST", "/triggers", {"type": "api", "x" * 60_000: 1}, "Leave it out"),
    ("POST", "/triggers?dry=1", {"type": "api", "nmae": "a"}, "Did you mean 'name'?"),
    ("PATCH", "/triggers/1", {"details": {"shcema": {}}}, "Did you mean 'schema'?"),
    ("POST", "/triggers/actions", {"action": "test", "filter": {"tags": []}}, "mean 'tag'?"),
    ("PUT", "/sets/a", {"triggers": {"a": {"type": "api", "nmae": "a"}}}, "Did you mean 'name'?"),
    ("POST", "/triggers", [], "Send a JSON object."),
    ("PATCH", "/triggers/1", [], "Send a JSON object."),
    ("POST", "/triggers", {"type": "api", "payload": 5}, "Send a JSON object."),
    ("POST", "/triggers", None, "Send a JSON object."),
    ("POST", "/triggers", {}, "This is required. Add it."),
    ("POST", "/triggers", {"type": "x"}, "Write one of these: 'scheduled', 'api', 'heartbeat'."),
    ("POST", "/triggers", {"type": "api", "name": 5}, "Write a text."),
    ("POST", "/triggers", {"type": "api", "tags": "a"}, 'such as ["a", "b"].'),
    ("POST", "/triggers/actions", {"action": "test", "filter": {"tag": {}}}, '["a", "b"].'),
    ("POST", "/triggers/actions", {"action": "test", "filter": {"id": {}}}, "such as [1, 2]."),
    ("POST", "/deliveries/actions", {"action": "cancel", "filter": {"status": {}}}, '["a", "b"]'),
    ("POST", "/triggers/actions", {"action": "test", "filter": {"tag": []}}, "1 or more values."),
    ("POST", "/triggers", {"type": "api", "tags": ["a"] * 21}, "Write 20 or fewer values."),
    ("POST", "/triggers", {"type": "api", "details": {"hook": {}}}, "This is required. Add it."),
    ("POST", "/triggers", {"type": "api", "on_completion": "delete"}, "never completes"),
    ("POST", "/destinations", {"url": "https://1.1.1.1", "timeout": 0}, "Write 1 or more."),
    ("POST", "/destinations", {"url": "https://1.1.1.1", "timeout": "x"}, "Write a number."),
    ("PATCH", "/auth/keys/1", {"trigger_ids": [1.5]}, "Write a whole number."),
    ("POST", "/triggers", {"type": "scheduled", "details": {"cron": 5}}, "Write a cron line, or"),
    (
        *("POST", "/triggers", {"type": "scheduled", "details": {"time": "2027-02-30T09:00Z"}}),
        "There is no such date or time.",
    ),
    (
        *("POST", "/triggers", {"type": "scheduled", "details": {"interval": "PT5"}}),
        "interval must be minutes",  # the name of a member
    ),
    ("GET", "/triggers/abc", None, "Write a whole number."),
    ("GET", f"/triggers/{'9' * 5000}", None, "Write a smaller whole number."),
    ("GET", "/events?is_test=perhaps", None, "Write true or false."),
    ("GET", "/events?type=x", None, "Write 'scheduled', 'api' or 'heartbeat'."),
    ("GET", "/events/stream?topics=events,bogus", None, "Write one or more of these"),
    ("DELETE", "/auth/sessions/1", None, "Write a UUID, such as"),
]


async def test_a_refusal_says_what_to_write_instead(own_service: Service) -> None:
    ada = own_service.client(ADA)
    await ada.post("/triggers", json={"type": "api"})

    for method, path, body, detail in WRONG:
        answer = await ada.request(method, path, json=body)

        told = answer.json()
        details = [told["detail"], *(one["detail"] for one in told.get("errors", []))]
        assert any(detail in one for one in details), (path, str(body)[:80], details)


async def test_a_patch_that_names_a_type_as_a_field_is_pointed_at(ada: httpx.AsyncClient) -> None:
    made = (await ada.post("/triggers", json={"type": "api"})).headers["location"]

    answer = await ada.patch(made, json={"api": 1, "scheduled": 1})

    assert places_of(answer) == ["#/api", "#/scheduled"]


async def test_of_a_thousand_refusals_the_first_twenty_are_listed(ada: httpx.AsyncClient) -> None:
    answer = await ada.post("/triggers", json={"type": "api", **{f"x{n}": n for n in range(1000)}})

    assert len(problem_of(answer, 422)["errors"]) == 20


async def test_lengths_are_counted_in_characters(ada: httpx.AsyncClient) -> None:
    empty = await ada.post("/triggers", json={"type": "api", "name": ""})
    long = await ada.post("/triggers", json={"type": "api", "name": "x" * 201})

    assert "1 or more characters" in problem_of(empty, 422)["detail"]
    assert "200 or fewer characters" in problem_of(long, 422)["detail"]


PARAMETERS = {
    "/triggers/0": "trigger_id",
    "/triggers/-1": "trigger_id",
    "/triggers/abc": "trigger_id",
    "/triggers/%00": "trigger_id",
    f"/triggers/{2**63}": "trigger_id",
    f"/triggers/{'9' * 5000}": "trigger_id",
    f"/events/{2**63}": "event_id",
    f"/events?trigger_id={2**63}": "trigger_id",
    "/events?trigger_id=0": "trigger_id",
    "/events?is_test=perhaps": "is_test",
    "/events?type=x": "type",
    "/events?state=x": "state",
    "/events?since=yesterday": "since",
    "/events?since=2026-01-01T00:00:00": "since",
    "/events?until=0001-01-01T00:00:00Z": "until",
    "/events?until=9999-12-31T23:59:59-23:59": "until",
    "/events?aggregate=2": "aggregate",
    "/triggers?limit=0": "limit",
    "/triggers?limit=1001": "limit",
    "/triggers?limit=1.5": "limit",
    "/triggers?limit=NaN": "limit",
    f"/triggers?limit={'9' * 5000}": "limit",
    "/triggers?status=x": "status",
    "/triggers?type=x": "type",
    "/triggers?tag=%00": "tag",
    "/triggers?q=a%00b": "q",
    f"/triggers?q={'a' * 201}": "q",
}


async def test_each_refused_parameter_is_named(ada: httpx.AsyncClient) -> None:
    for path, parameter in PARAMETERS.items():
        answer = await ada.get(path)

        assert places_of(answer) == [parameter], path[:80]


REFUSALS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/triggers", {"json": CANARY}),
    ("POST", "/triggers", {"json": [CANARY]}),
    ("POST", "/triggers", {"json": {"type": CANARY}}),
    ("POST", "/triggers", {"json": {"type": "api", "name": [CANARY]}}),
    ("POST", "/triggers", {"json": {"type": "api", "name": CANARY * 50}}),
    ("POST", "/triggers", {"json": {"type": "api", "tags": CANARY}}),
    ("POST", "/triggers", {"json": {"type": "api", "payload": CANARY}}),
    ("POST", "/triggers", {"json": {"type": "api", "x": CANARY}}),
    ("POST", "/triggers", {"json": {"type": "scheduled", "details": CANARY}}),
    ("POST", "/triggers", {"json": {"type": "scheduled", "details": {"cron": CANARY}}}),
    (
        "POST",
        "/triggers",
        {"json": {"type": "scheduled", "details": {"cron": f"{CANARY} * * * *"}}},
    ),
    (
        "POST",
        "/triggers",
        {"json": {"type": "scheduled", "details": {"cron": f"* * * {CANARY} *"}}},
    ),
    ("POST", "/triggers", {"json": {"type": "scheduled", "details": {"interval": CANARY}}}),
    ("POST", "/triggers", {"json": {"type": "scheduled", "details": {"time": CANARY}}}),
    ("POST", "/triggers", {"json": {"type": "scheduled", "details": {"recurring": CANARY}}}),
    ("POST", "/triggers", {"json": {"type": "scheduled", "details": {"max_fires": CANARY}}}),
    (
        "POST",
        "/triggers",
        {"json": {"type": "scheduled", "details": {"cron": "@daily", "timezone": CANARY}}},
    ),
    ("POST", "/triggers", {"json": {"type": "api", "details": {"schema": {"type": CANARY}}}}),
    ("POST", "/triggers", {"json": {"type": "api", "details": {"schema": {"$ref": CANARY}}}}),
    (
        "POST",
        "/triggers",
        {"json": {"type": "api", "details": {"schema": {"pattern": f"({CANARY}"}}}},
    ),
    ("POST", "/triggers", {"content": f'{{"{CANARY}'.encode(), "headers": JSON}),
    ("POST", "/triggers", {"content": f"{CANARY}".encode(), "headers": JSON}),
    ("POST", "/triggers", {"content": f'["{CANARY}\\ud800"]'.encode(), "headers": JSON}),
    ("POST", "/triggers", {"content": CANARY.encode(), "headers": {"content-type": CANARY}}),
    ("GET", f"/triggers?limit={CANARY}", {}),
    ("GET", f"/triggers?cursor={CANARY}", {}),
    ("GET", f"/triggers?type={CANARY}", {}),
    ("GET", f"/events?since={CANARY}", {}),
    ("GET", f"/events?state={CANARY}", {}),
    ("POST", "/triggers/{plain}/trigger", {"json": [CANARY]}),
    ("POST", "/triggers/{plain}/trigger", {"headers": {"idempotency-key": CANARY * 50}}),
    ("PATCH", "/triggers/{plain}", {"json": {"details": CANARY}}),
    ("PATCH", "/triggers/{plain}", {"json": {"details": {"schema": CANARY}}}),
    ("PATCH", "/triggers/{plain}", {"json": {"type": CANARY}}),
    ("POST", "/triggers/{strict}/trigger", {"json": {"n": CANARY, "e": 1, "p": "x"}}),
    ("POST", "/triggers/{strict}/trigger", {"json": {"n": 1, "e": CANARY, "p": "x"}}),
    ("POST", "/triggers/{strict}/trigger", {"json": {"n": 1, "e": 1, "p": CANARY}}),
    ("POST", "/auth/register", {"json": {"email": CANARY, "password": CANARY}}),
    ("POST", "/auth/register", {"json": {"email": "a@b", "password": CANARY * 50}}),
    ("POST", "/auth/register", {"json": {"email": f"{CANARY}@b", "password": CANARY}}),
    ("POST", "/auth/refresh", {"json": {"refresh_token": CANARY}}),
    ("POST", "/auth/refresh", {"json": {"refresh_token": {CANARY: CANARY}}}),
    ("POST", "/auth/refresh", {"json": {"refresh_token": CANARY * 50}}),
    ("POST", "/auth/token", {"data": {"username": CANARY, "password": CANARY}}),
    ("POST", "/console/session", {"json": {"email": CANARY, "password": CANARY}}),
    ("POST", "/console/session", {"json": {"email": [CANARY], "password": CANARY * 200}}),
    ("POST", "/auth/token", {"data": {"username": CANARY + "\0", "password": CANARY + "\0"}}),
    ("POST", "/auth/token", {"data": {"username": "a", "password": "b", "grant_type": CANARY}}),
    ("POST", "/auth/token", {"data": {"username": "a", "password": "b", "scope": CANARY}}),
    ("GET", "/auth/me", {"headers": {"authorization": f"Bearer {CANARY}"}}),
    ("POST", "/auth/password", {"json": {"current": CANARY, "new": CANARY + CANARY}}),
    ("POST", "/auth/password", {"json": {"current": CANARY, "new": CANARY * 50}}),
    ("POST", "/auth/password", {"json": {"current": CANARY, "new": [CANARY]}}),
]


async def test_refused_input_is_neither_repeated_nor_logged(
    ada: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    schema = {
        "properties": {
            "n": {"type": "number", "maximum": 5},
            "e": {"enum": [1, 2]},
            "p": {"type": "string", "maxLength": 5, "pattern": "^x"},
        }
    }
    plain, strict = [await make_api(ada, details=details) for details in ({}, {"schema": schema})]

    for method, path, sent in REFUSALS:
        path_of = path.format(plain=plain["id"], strict=strict["id"])
        answer = await ada.request(method, path_of, **sent)

        problem_of(answer, answer.status_code)
        assert 400 <= answer.status_code < 500
        shown = answer.text + str(answer.headers)
        assert CANARY not in shown, (method, path, sent)

    logged = capsys.readouterr()
    assert "status=422" in logged.out
    assert CANARY not in logged.out + logged.err + caplog.text


async def test_accepted_input_is_not_logged(
    anonymous: httpx.AsyncClient,
    ada: httpx.AsyncClient,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    signed_in = await sign_in(anonymous)
    renewed = tokens_of(await refresh(anonymous, signed_in))
    made = await make_api(ada, name=CANARY, payload={"a": CANARY})
    await ada.post(
        f"/triggers/{made['id']}/trigger",
        json={"b": CANARY},
        headers={"idempotency-key": CANARY},
    )
    await ada.get(f"/triggers?q={CANARY}")

    logged = capsys.readouterr()
    text = logged.out + logged.err + caplog.text

    tokens = [signed_in.access, signed_in.refresh, renewed.access, renewed.refresh]
    assert "status=200" in text
    assert [secret for secret in [PASSWORD, CANARY, *tokens] if secret in text] == []


async def _operations(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    document = (await client.get("/openapi.json")).json()
    return [
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    ]


async def test_every_operation_but_the_public_ones_needs_a_credential(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    operations = await _operations(anonymous)
    ended = (await sign_in(anonymous)).headers
    await anonymous.post("/auth/logout", headers=ended)

    for method, path in operations:
        if f"{method} {path}" in PUBLIC:
            continue
        address = path.replace("{trigger_id}", "1").replace("{event_id}", "1")
        for headers in ({}, ended, {"Authorization": "Bearer a.b.c"}):
            answer = await anonymous.request(method, address, headers=headers)

            problem_of(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer", path

    assert {f"{method} {path}" for method, path in operations} >= PUBLIC


async def test_an_outage_of_the_database_is_a_503_and_ends_with_it(
    database_url: str,
) -> None:
    async with cable_to(database_url) as (cable, url), running_service(url) as service:
        ada, anonymous = service.client(ADA), service.client()
        await eventually(lambda: anonymous.get("/readyz"), lambda seen: seen.status_code == 200)
        made = await ada.post("/triggers", json={"type": "api"})

        await cable.cut()
        away = [
            await ada.get("/triggers"),
            await ada.post("/triggers", json={"type": "api"}),
            await ada.post("/triggers/1/trigger"),
            await ada.get("/auth/me"),
            await anonymous.post("/auth/token", data={"username": "a", "password": "b"}),
            await anonymous.post("/auth/refresh", json={"refresh_token": "a"}),
        ]
        not_ready = await anonymous.get("/readyz")
        alive = await anonymous.get("/healthz")
        await cable.plug_in()
        back = await ada.get("/triggers")
        ready = await eventually(
            lambda: anonymous.get("/readyz"), lambda seen: seen.status_code == 200
        )

    assert made.status_code == 201
    for answer in away:
        assert problem_of(answer, 503)["type"] == "urn:event-trigger:problem:unavailable"
        assert answer.headers["retry-after"] == "1"
    assert "the database does not answer" in problem_of(not_ready, 503)["detail"]
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert [trigger["id"] for trigger in back.json()] == [made.json()["id"]]
    assert ready.json() == {"status": "ready"}


@one_server("it ends a session that waits for a lock of one server")
async def test_a_statement_that_the_database_ends_is_a_503_and_changed_nothing(
    ada: httpx.AsyncClient, service: Service
) -> None:
    made = (await ada.post("/triggers", json={"type": "api", "name": "before"})).headers["location"]
    waiting = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    connection = await connect(service.database_url)
    holding = connection.transaction()
    await holding.start()
    await connection.execute("SELECT FROM triggers FOR UPDATE")

    change = asyncio.create_task(ada.patch(made, json={"name": "after"}))
    stuck = await eventually(lambda: connection.fetch(waiting), lambda seen: len(seen) == 1)
    await connection.execute("SELECT pg_terminate_backend($1::int)", stuck[0]["pid"])
    answer = await change
    await holding.rollback()
    await connection.close()

    assert "not known" in problem_of(answer, 503)["detail"]
    assert (await ada.get(made)).json()["name"] == "before"


async def test_a_database_that_is_not_migrated_is_not_ready_and_a_newer_one_is(
    anonymous: httpx.AsyncClient, service: Service
) -> None:
    connection = await connect(service.database_url)

    await connection.execute("UPDATE alembic_version SET version_num = 'of a later version'")
    newer = await eventually(lambda: anonymous.get("/readyz"), lambda seen: seen.status_code == 200)
    await connection.execute("DELETE FROM alembic_version")
    older = await anonymous.get("/readyz")
    await connection.close()

    assert newer.json() == {"status": "ready"}
    problem = problem_of(older, 503)
    assert problem["type"] == "urn:event-trigger:problem:not-ready"
    assert "not migrated" in problem["detail"]


async def test_a_deadlock_says_that_the_change_was_undone(
    service: Service, ada: httpx.AsyncClient
) -> None:
    destination = await make_destination(ada, "https://1.1.1.1/hook")
    trigger = await make_api(ada, key="k", destinations=[destination["id"]])
    holder, watcher = await connect(service.database_url), await connect(service.database_url)

    async with holder.transaction():
        await holder.execute("SET LOCAL deadlock_timeout = '20s'")  # the request is ended first
        await lock_row(holder, "triggers", trigger["id"], strength="UPDATE")
        body = {"type": "api", "name": "changed", "destinations": [destination["id"]]}
        request = asyncio.create_task(ada.put("/triggers/by-key/k", json=body))
        await until_somebody_waits(watcher)
        await lock_row(holder, "destinations", destination["id"], strength="UPDATE")
        answer = await request
    await asyncio.gather(holder.close(), watcher.close())

    assert "was undone" in problem_of(answer, 503)["detail"]
    assert (await read(ada, trigger["id"]))["name"] is None
