"""A destination is judged by its own answers, and takes nothing from the others."""

import asyncio
import itertools
from ipaddress import ip_network
from typing import Any

import httpx
from aiohttp import web
from structlog.testing import capture_logs

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.deliveries.attempts import AttemptParts
from event_trigger.deliveries.capacity import MOST_BYTES_IN_FLIGHT
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.worker import DeliveryWorker
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.vault import Vault
from tests.support.destinations import (
    fire,
    list_deliveries,
    make_destination,
    read_destination,
    until_finished,
)
from tests.support.locks import locked_destination
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, idle_service, make_settings
from tests.support.triggers import make_api
from tests.support.waiting import eventually

_PLANT = """
    INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
        triggered_at, is_test, payload, payload_size)
    SELECT $1::bigint % 64, $1, $2, 1, number, 'api', now(), false,
        json_build_object('a', repeat('x', $4)), $4 + 10
    FROM generate_series(1, $3::int) AS number
"""


async def plant(database: Any, destination_id: int, count: int, *, size: int = 0) -> None:
    """Stores due deliveries, each with a payload of about `size` bytes."""
    await database.execute(_PLANT, ADA, destination_id, count, size)


async def test_slow_successes_keep_nobody_else_waiting(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    arrived = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await arrived.wait()
        return web.Response()

    async def quick(_: web.Request) -> web.StreamResponse:
        arrived.set()
        return web.Response()

    receiver.answers |= {"/slow": slow, "/quick": quick}
    for _ in range(6):
        made = await make_destination(ada, receiver.url + "/slow", timeout=30, max_concurrency=100)
        await plant(database, made["id"], 150)
    await database.execute("NOTIFY event_trigger_deliveries")
    await eventually(lambda: count_of(receiver, "/slow"), lambda count: count > 100)
    healthy = await make_destination(ada, receiver.url + "/quick")

    await fire(ada, await make_api(ada, destinations=[healthy["id"]]))

    [delivery] = await until_finished(ada, destination_id=healthy["id"])
    assert delivery["status"] == "delivered"  # or the slow ones would still be waiting


async def test_a_locked_destination_keeps_no_attempts_of_others_waiting(
    database_url: str, ada: httpx.AsyncClient, bob: httpx.AsyncClient, receiver: Receiver
) -> None:
    locked, later = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        place = len(receiver.at("/locked"))
        await (later if place == 3 else locked).wait()
        return web.Response(status=500 if place < 3 else 200)

    receiver.answers |= {"/locked": answer, "/fails": 500}
    mine = await make_destination(ada, receiver.url + "/locked", timeout=30)
    theirs = await make_destination(bob, receiver.url + "/fails")
    trigger = await make_api(ada, destinations=[mine["id"]])
    other = await make_api(bob, destinations=[theirs["id"]])
    for _ in range(3):
        await fire(ada, trigger)
    await eventually(lambda: count_of(receiver, "/locked"), lambda count: count == 3)

    with capture_logs() as logged:
        async with locked_destination(database_url, mine["id"]):
            for count, event in enumerate((locked, later), start=1):
                event.set()
                await fire(bob, other)
                failed = await until_finished(bob, count)
            waiting = await list_deliveries(ada)
        delivered = await until_finished(ada, 3)

    for one in failed:
        assert [attempt["status_code"] for attempt in one["attempts"]] == [500] * 3
    assert [one["attempt_count"] for one in waiting] == [0] * 3  # the success after them, too
    codes = sorted([attempt["status_code"] for attempt in one["attempts"]] for one in delivered)
    assert codes == [[200], [500, 200], [500, 200]]
    assert "record_waits_for_database" not in [one["event"] for one in logged]


async def count_of(receiver: Receiver, path: str) -> int:
    return len(receiver.at(path))


async def test_large_payloads_are_in_memory_a_few_at_a_time(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    size, at_once, most = 1_000_000, 0, 0

    async def count(_: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.05)
        at_once -= 1
        return web.Response()

    receiver.remembers = False
    receiver.answers["/hook"] = count
    made = await make_destination(ada, receiver.url + "/hook", max_concurrency=100)
    await plant(database, made["id"], 60, size=size)
    await database.execute("NOTIFY event_trigger_deliveries")

    await until_finished(ada, 60)

    assert 1 < most * size <= MOST_BYTES_IN_FLIGHT


async def test_only_failures_in_a_row_open_the_breaker(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    turns, states = itertools.cycle([500, 200]), set()

    async def every_other(_: web.Request) -> web.StreamResponse:
        states.add((await read_destination(ada, made["id"]))["state"])
        return web.Response(status=next(turns))

    receiver.answers["/hook"] = every_other
    made = await make_destination(ada, receiver.url + "/hook", max_concurrency=1)
    trigger = await make_api(ada, destinations=[made["id"]])
    for _ in range(8):
        await fire(ada, trigger)

    await until_finished(ada, 8)

    assert len(receiver.received) > 10
    assert states == {"closed"}


async def test_an_answer_of_the_url_before_does_not_judge_the_one_now(
    ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def gone(_: web.Request) -> web.StreamResponse:
        asked.set()
        await answer.wait()
        return web.Response(status=410)

    receiver.answers["/old"] = gone
    made = await make_destination(ada, receiver.url + "/old")
    trigger = await make_api(ada, destinations=[made["id"]])
    await fire(ada, trigger)
    await asked.wait()

    await ada.patch(f"/destinations/{made['id']}", json={"url": receiver.url + "/new"})
    answer.set()
    await until_finished(ada)

    now = await read_destination(ada, made["id"])
    assert (now["status"], now["failures"]) == ("enabled", 0)


async def test_an_attempt_that_ends_after_its_destination_was_deleted_is_recorded(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        asked.set()
        await answer.wait()
        return web.Response()

    receiver.answers["/hook"] = wait
    made = await make_destination(ada, receiver.url + "/hook", max_concurrency=1)
    trigger = await make_api(ada, destinations=[made["id"]])
    await fire(ada, trigger)
    await fire(ada, trigger)
    await asked.wait()
    await ada.delete(f"/destinations/{made['id']}")
    [given_up] = await until_finished(ada, 1)
    answer.set()

    first, second = await until_finished(ada, 2)

    assert given_up == second
    assert (second["status"], second["error"]) == ("exhausted", "destination_deleted")
    assert (first["status"], first["attempt_count"]) == ("delivered", 1)


async def test_leases_of_unfinished_attempts_are_released_at_shutdown(
    database_url: str, receiver: Receiver, database: Any
) -> None:
    asked = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.sleep(60)
        return web.Response()

    receiver.answers["/hook"] = hang
    async with idle_service(database_url, **ALLOW_LOOPBACK) as service:
        made = await make_destination(service.client(ADA), receiver.url + "/hook", timeout=30)
    await plant(database, made["id"], 1)
    engine, settings = create_engine(database_url), make_settings(database_url)
    sender = Sender(AddressPolicy([ip_network("127.0.0.0/8")]), DnsResolver().lookup)
    worker = DeliveryWorker(
        create_sessions(engine),
        AttemptParts(sender, Renderer(), Vault.of(settings), (), public_url=None),
        on_capacity=lambda: None,
    )
    await worker.deliver_due()
    await asked.wait()

    await worker.drain(0)

    row = await database.fetchrow(
        "SELECT leased_until, next_attempt_at <= now() AS is_due, status FROM deliveries"
    )
    await sender.aclose()
    await engine.dispose()
    attempt = await database.fetchrow("SELECT number, error, duration_ms FROM delivery_attempts")
    assert (row["leased_until"], row["is_due"], row["status"]) == (None, True, "pending")
    assert tuple(attempt) == (1, "interrupted", None)


async def test_an_attempt_that_was_cut_off_is_on_record_and_costs_no_retry(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    made = await make_destination(ada, receiver.url + "/hook", max_concurrency=1)
    await ada.post(f"/destinations/{made['id']}/disable")
    await plant(database, made["id"], 1)
    await database.execute(
        "UPDATE deliveries SET lease = 1, leased_at = now() - interval '1 min',"
        " leased_until = now() - interval '1 s', next_attempt_at = now() - interval '1 s'"
    )

    await ada.post(f"/destinations/{made['id']}/enable")

    [delivery] = await until_finished(ada)
    assert delivery["attempt_count"] == 2
    assert [(one["number"], one["error"]) for one in delivery["attempts"]] == [
        (1, "interrupted"),
        (2, None),
    ]
    assert await database.fetchval("SELECT tries FROM deliveries") == 1
