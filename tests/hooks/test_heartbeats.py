"""Pings of heartbeats over HTTP: what they move, and what events they make."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.heartbeats import (
    HOURLY,
    events_told,
    forget_outages,
    let_pass,
    make_heartbeat,
    ping,
    status_of,
    until_told,
)
from tests.support.problems import problem_of
from tests.support.triggers import instant, read
from tests.support.waiting import eventually

HOUR = timedelta(hours=1)


async def test_the_first_ping_starts_it_and_makes_no_event(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada)

    await ping(anonymous, made)

    shown = await read(ada, made["id"])
    pinged_at = instant(shown["heartbeat"]["last_ping_at"])
    assert shown["heartbeat"]["status"] == "alive"
    assert instant(shown["heartbeat"]["expected_at"]) == pinged_at + HOUR
    assert instant(shown["next_fire_at"]) == pinged_at + HOUR + timedelta(minutes=10)
    assert (shown["fire_count"], shown["last_fired_at"]) == (0, None)
    assert await events_told(ada, made) == []


async def test_it_is_late_and_then_silent_once_and_alive_once(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await make_heartbeat(ada, payload={"job": "backup", "state": "?"})
    await ping(anonymous, made)
    await forget_outages(database)
    pinged_at = (await read(ada, made["id"]))["heartbeat"]["last_ping_at"]

    await let_pass(database, made, HOUR + timedelta(minutes=1))
    assert await status_of(ada, made) == "late"
    assert await events_told(ada, made) == []
    await let_pass(database, made, timedelta(minutes=9))
    [silent] = await until_told(ada, made, "silent")
    assert await status_of(ada, made) == "silent"
    await ping(anonymous, made)
    await ping(anonymous, made)
    [_, alive] = await until_told(ada, made, "silent", "alive")

    assert (silent["type"], silent["source"]) == ("heartbeat", {"kind": "schedule"})
    assert silent["scheduled_for"] == silent["payload"]["deadline_at"]
    assert silent["payload"]["job"] == "backup"
    assert silent["payload"]["reason"] == "no_ping"
    assert instant(silent["payload"]["last_ping_at"]) == instant(pinged_at) - HOUR - timedelta(
        minutes=10
    )
    assert (alive["type"], alive["source"]["kind"]) == ("heartbeat", "hook")
    assert alive["scheduled_for"] is None
    assert alive["payload"]["reason"] == "pinged"
    assert alive["payload"]["silent_since"] is not None
    shown = await read(ada, made["id"])
    assert shown["heartbeat"]["status"] == "alive"
    assert shown["fire_count"] == 2


@pytest.mark.parametrize(
    ("signal", "reason", "code"), [("fail", "failed", None), ("3", "exit_code", 3)]
)
async def test_a_failure_fires_at_once_and_says_how_the_job_ended(
    ada: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    signal: str,
    reason: str,
    code: int | None,
) -> None:
    made = await make_heartbeat(ada)

    await ping(anonymous, made, "start")
    await ping(anonymous, made, signal)
    await ping(anonymous, made, signal)

    [told] = await events_told(ada, made)
    assert told["payload"]["state"] == "silent"
    assert (told["payload"]["reason"], told["payload"]["exit_code"]) == (reason, code)
    assert told["payload"]["duration_ms"] >= 0
    assert await status_of(ada, made) == "silent"


async def test_exit_code_zero_is_a_success(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada)

    await ping(anonymous, made, "1")
    await ping(anonymous, made, "0")

    assert [one["payload"]["exit_code"] for one in await events_told(ada, made)] == [1, 0]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_get_post_and_head_ping_without_further_ado(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, method: str
) -> None:
    made = await make_heartbeat(ada)

    answer = await anonymous.request(method, made["hook_url"])

    assert answer.status_code == 200
    assert answer.content == (b"" if method == "HEAD" else b'{"message":"Ping received"}')
    assert await status_of(ada, made) == "alive"


async def test_a_body_of_any_kind_is_not_read(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada)

    answer = await anonymous.post(
        made["hook_url"], content=b"{not json", headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 200


async def test_other_methods_and_signals_are_refused(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada)

    refused = await anonymous.put(made["hook_url"])
    for signal in ("256", "stop", "-1"):
        problem_of(await anonymous.get(f"{made['hook_url']}/{signal}"), 404)

    problem_of(refused, 405)
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert await status_of(ada, made) == "waiting"


async def test_the_hook_of_an_api_trigger_has_no_signals(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await ada.post(
        "/triggers", json={"type": "api", "details": {"hook": {"verify": "none"}}}
    )

    answer = await anonymous.post(f"{made.json()['hook_url']}/fail")

    problem_of(answer, 404)
    assert (await ada.get("/events", params={"trigger_id": made.json()["id"]})).json() == []


async def test_a_ping_is_verified_as_calls_are(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada, {**HOURLY, "hook": {"verify": "token"}})

    refused = await anonymous.post(made["hook_url"])
    accepted = await anonymous.post(
        made["hook_url"], headers={"Authorization": f"Bearer {made['hook_secret']}"}
    )

    problem_of(refused, 401)
    assert accepted.status_code == 200
    assert await status_of(ada, made) == "alive"


async def test_a_ping_of_a_paused_heartbeat_is_accepted_and_counts_for_nothing(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada)
    await ada.post(f"/triggers/{made['id']}/pause")

    await ping(anonymous, made, status=202)

    shown = await read(ada, made["id"])
    assert shown["heartbeat"]["status"] == "paused"
    assert shown["heartbeat"]["last_ping_at"] is None


async def test_many_pings_in_a_row_are_cheap_and_none_is_lost(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    """They leave the index of deadlines alone: PostgreSQL updates the row in its place."""
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    first = await database.fetchval("SELECT next_fire_at FROM triggers WHERE id = $1", made["id"])

    for _ in range(20):
        await ping(anonymous, made)

    row = await database.fetchrow("SELECT * FROM triggers WHERE id = $1", made["id"])
    assert row["next_fire_at"] == first
    assert row["last_ping_at"] > first - HOUR - timedelta(minutes=10)
    assert instant((await read(ada, made["id"]))["next_fire_at"]) > first


async def test_a_deadline_that_pings_have_moved_makes_no_event(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    """The row's instant may be too early by a minute, and the dispatcher moves it on."""
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    deadline_at = instant((await read(ada, made["id"]))["next_fire_at"])

    await database.execute("UPDATE triggers SET next_fire_at = now() WHERE id = $1", made["id"])

    await eventually(
        lambda: database.fetchval("SELECT next_fire_at FROM triggers WHERE id = $1", made["id"]),
        lambda at: bool(at == deadline_at),
    )
    assert await events_told(ada, made) == []
