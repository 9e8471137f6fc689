"""Refused calls leave a record for the trigger's owner: one a minute and reason."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from structlog.testing import capture_logs

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.db.shards import OwnedId
from event_trigger.hooks.refusals.records import (
    MOST_COUNTED,
    MOST_KEPT,
    RefusalLog,
    RefusedCalls,
    purge_refusals,
    record_refusals,
)
from tests.support.hooks import BODY, MadeHook, events_of, github, is_fired, make_hook, standard
from tests.support.problems import problem_of
from tests.support.services import Service
from tests.support.waiting import eventually

NOON = datetime(2026, 3, 13, 12, tzinfo=UTC)
STORED = "SELECT count(*) FROM hook_refusals"


async def refusals_of(client: httpx.AsyncClient, hook: MadeHook) -> list[dict[str, Any]]:
    answer = await client.get(f"/triggers/{hook.trigger_id}/refusals")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def counted(refusals: list[dict[str, Any]]) -> dict[tuple[str, int, str], int]:
    """Adds up records of one reason, of which a new minute makes a second one."""
    found: dict[tuple[str, int, str], int] = {}
    for one in refusals:
        key = one["reason"], one["status"], one["method"]
        found[key] = found.get(key, 0) + one["count"]
    return found


async def test_every_refused_call_is_on_record_with_its_reason(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "standard_webhooks", details={"schema": {"required": ["action"]}})
    typed, hops = {"content-type": "application/json"}, "x-event-trigger-hops"
    other = MadeHook(0, hook.url, "whsec_" + "A" * 32)

    async def call(headers: dict[str, str], body: bytes = BODY, method: str = "POST") -> None:
        await anonymous.request(method, hook.url, content=body, headers=headers)

    await asyncio.gather(*[call({}) for _ in range(30)])
    await call(standard(other))
    await call(standard(hook, age=timedelta(minutes=6)))
    await call({}, method="GET")
    await anonymous.post(f"{hook.url}?{'a' * 50_000}", content=BODY, headers=standard(hook))
    await call(standard(hook, b"{", name="a") | typed, b"{")
    await call(standard(hook, b"{}", name="b"), b"{}")
    await call(standard(hook, name="c" * 256))
    await call(standard(hook, name="d") | {hops: "10"})
    await call(standard(hook, name="e") | {hops: "x"})
    await call(standard(hook, name="f"))
    await ada.post(f"/triggers/{hook.trigger_id}/pause")
    await call(standard(hook, name="g"))

    wanted = {
        ("missing_header", 401, "POST"): 30,
        ("wrong_signature", 401, "POST"): 1,
        ("timestamp_too_far", 401, "POST"): 1,
        ("method_not_allowed", 405, "GET"): 1,
        ("query_too_long", 414, "POST"): 1,
        ("unreadable_body", 422, "POST"): 1,
        ("invalid_payload", 422, "POST"): 1,
        ("invalid_header", 422, "POST"): 2,
        ("loop_detected", 508, "POST"): 1,
        ("trigger_paused", 202, "POST"): 1,
    }
    found = await eventually(lambda: refusals_of(ada, hook), lambda some: counted(some) == wanted)
    assert {one["address"] for one in found} == {"127.0.0.1"}
    assert [one["at"] for one in found] == sorted((one["at"] for one in found), reverse=True)
    assert len(await events_of(ada, hook)) == 1


async def test_calls_that_fire_or_say_nothing_of_the_hook_leave_no_record(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    hook = await make_hook(ada, "github")
    last = await make_hook(ada, "github")

    assert is_fired(await anonymous.post(hook.url, content=BODY, headers=github(hook)))
    ping = github(hook, name="ping") | {"X-GitHub-Event": "ping"}
    assert (await anonymous.post(hook.url, content=BODY, headers=ping)).status_code == 200
    packed = {"Content-Encoding": "gzip"}
    problem_of(await anonymous.post("/hooks/x", content=BODY, headers=packed), 415)
    for token in (hook.token[:-1], "x"):
        problem_of(await anonymous.post(f"/hooks/{token}"), 404)
    problem_of(await anonymous.post(last.url), 401)  # whose record shows that those are stored

    await eventually(lambda: refusals_of(ada, last), lambda found: len(found) == 1)
    assert await refusals_of(ada, hook) == []
    assert await database.fetchval(STORED) == 1
    problem_of(await bob.get(f"/triggers/{last.trigger_id}/refusals"), 404)
    problem_of(await ada.get("/triggers/999999/refusals"), 404)


async def test_bodies_that_are_refused_unread_are_on_record_too(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "github")
    packed = github(hook) | {"Content-Encoding": "gzip"}
    large = b" " * (1024 * 1024 + 1)

    async def in_pieces() -> AsyncIterator[bytes]:
        yield large

    problem_of(await anonymous.post(hook.url, content=BODY, headers=packed), 415)
    problem_of(await anonymous.post(hook.url, content=large), 413)
    problem_of(await anonymous.put(hook.url, content=in_pieces()), 413)

    wanted = {
        ("unsupported_media_type", 415, "POST"): 1,
        ("content_too_large", 413, "PUT"): 2,
    }
    found = await eventually(lambda: refusals_of(ada, hook), lambda some: counted(some) == wanted)
    assert {one["address"] for one in found} == {"127.0.0.1"}
    assert await events_of(ada, hook) == []


# Counting and storing, without a running service


def refused(at: datetime, *, address: str = "192.0.2.1", count: int = 1) -> RefusedCalls:
    return RefusedCalls(401, "POST", address, count, at)


def test_calls_are_counted_by_trigger_minute_and_reason_and_the_last_one_is_shown() -> None:
    log, trigger, seconds = RefusalLog(), OwnedId(2, 7), timedelta(seconds=1)

    log.count(trigger, "wrong", refused(NOON + 59 * seconds, address="192.0.2.2"))
    log.count(trigger, "wrong", refused(NOON))
    log.count(trigger, "wrong", refused(NOON + 60 * seconds))
    log.count(trigger, "other", refused(NOON))
    log.count(OwnedId(2, 6), "wrong", refused(NOON))

    records = [(key.trigger.id, key.minute, key.reason, calls) for key, calls in log.take()]
    assert records == [
        (6, NOON, "wrong", refused(NOON)),
        (7, NOON, "other", refused(NOON)),
        (7, NOON, "wrong", refused(NOON + 59 * seconds, address="192.0.2.2", count=2)),
        (7, NOON + 60 * seconds, "wrong", refused(NOON + 60 * seconds)),
    ]
    assert log.take() == []


def test_the_memory_of_a_flood_is_bounded() -> None:
    log = RefusalLog()

    for number in range(MOST_COUNTED + 10):
        log.count(OwnedId(2, number), "wrong", refused(NOON))
    log.count(OwnedId(2, 0), "wrong", refused(NOON))

    records = log.take()
    assert len(records) == MOST_COUNTED
    assert records[0][1].count == 2


async def test_replicas_add_to_one_record_and_the_newest_50_are_kept(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    hook, other = await make_hook(ada, "none"), await make_hook(ada, "none")
    owner = await database.fetchval("SELECT owner_id FROM hooks LIMIT 1")
    engine = create_engine(service.database_url)
    sessions, logs = create_sessions(engine), [RefusalLog() for _ in range(2)]
    minutes = [NOON + timedelta(minutes=number) for number in range(MOST_KEPT + 10)]

    for minute in minutes:
        for log in logs:
            log.count(OwnedId(owner, hook.trigger_id), "wrong", refused(minute))
    logs[0].count(OwnedId(owner, other.trigger_id), "wrong", refused(NOON))
    await asyncio.gather(*[record_refusals(sessions, log) for log in logs])
    logs[0].count(OwnedId(owner, hook.trigger_id), "wrong", refused(minutes[-1]))
    await record_refusals(sessions, logs[0])

    found = await refusals_of(ada, hook)
    assert [one["count"] for one in found] == [3] + [2] * (MOST_KEPT - 1)
    assert len(await refusals_of(ada, other)) == 1
    assert await database.fetchval(STORED) == MOST_KEPT + 1

    await purge_refusals(sessions, minutes[-1])
    await engine.dispose()

    assert len(await refusals_of(ada, hook)) == 1
    assert await refusals_of(ada, other) == []


async def test_calls_that_could_not_be_stored_are_counted_again(database_url: str) -> None:
    engine, log = create_engine(database_url), RefusalLog()
    log.count(OwnedId(2, 7), "w" * 10, RefusedCalls(10**6, "POST", None, 1, NOON))  # no smallint
    log.count(OwnedId(1, 7), "wrong", refused(NOON))

    failed = await asyncio.gather(
        record_refusals(create_sessions(engine), log), return_exceptions=True
    )
    log.count(OwnedId(2, 7), "w" * 10, RefusedCalls(401, "POST", None, 1, NOON))
    await engine.dispose()

    assert isinstance(failed[0], Exception)
    assert [(key.trigger.owner_id, calls.count) for key, calls in log.take()] == [(2, 2)]


async def test_the_log_says_which_hooks_refuse_and_why(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "github")

    async def told() -> int:
        found = [one for one in logged if one["event"] == "hook_refused"]
        assert {one["trigger_id"] for one in found} <= {hook.trigger_id}
        return sum(one["count"] for one in found)

    with capture_logs() as logged:
        for _ in range(3):
            await anonymous.post(hook.url, content=BODY)
        await eventually(told, lambda count: count == 3)
