"""A transaction that holds back the streams is logged once, by its number."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from structlog.testing import capture_logs

from event_trigger.stream.subscriptions import WARN_AFTER, OldTransactionWatch
from tests.support.databases import connect, in_database
from tests.support.destinations import fire
from tests.support.services import ADA, BOB, Service
from tests.support.streams import following, listening
from tests.support.triggers import make_api
from tests.support.waiting import eventually

NOW = datetime(2026, 3, 13, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def logged_after(checks: list[tuple[int, int, timedelta]]) -> list[int]:
    """Gives the transactions that are logged after checks of (oldest, newest, when)."""
    watch = OldTransactionWatch()
    with capture_logs() as logged:
        for oldest, newest, when in checks:
            watch.check(oldest=oldest, newest=newest, now=NOW + when)
    assert {(line["event"], line["log_level"]) for line in logged} <= {
        ("stream_held_up", "warning")
    }
    return [line["xid"] for line in logged]


def test_a_database_without_work_is_not_held_up() -> None:
    assert logged_after([(7, 7, second * SECOND) for second in range(100)]) == []
    assert logged_after([(7, 7, 0 * SECOND), (7, 9, 100 * SECOND), (7, 9, 104 * SECOND)]) == []


def test_a_busy_database_is_not_held_up() -> None:
    assert logged_after([(second, second + 9, second * SECOND) for second in range(100)]) == []


def test_each_old_transaction_is_logged_once() -> None:
    first = [(7, 9 + second, second * SECOND) for second in range(60)]
    second = [(2**32 + 8, 2**32 + 99, (60 + second) * SECOND) for second in range(60)]

    assert logged_after(first[:6]) == []
    assert logged_after([*first, *second]) == [7, 8]
    assert logged_after([(7, 9, 0 * SECOND), (7, 9, WARN_AFTER + timedelta(microseconds=1))]) == [7]


async def test_a_transaction_in_another_database_is_named_while_it_holds_up_streams(
    server_url: str, service: Service, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)
    elsewhere: Any = await connect(in_database(server_url, "postgres"))
    with capture_logs() as logged:

        async def warnings() -> list[Any]:
            return [line["xid"] for line in logged if line["event"] == "stream_held_up"]

        async with (
            listening(service) as url,
            following(url, ADA) as hers,
            following(url, ADA) as hers_too,
            following(url, BOB),
        ):
            async with elsewhere.transaction():
                xid = int(await elsewhere.fetchval("SELECT pg_current_xact_id()::text"))
                fired = await fire(ada, trigger)
                await eventually(warnings, bool)
                await asyncio.sleep(2)  # so that all streams have read again
            await hers.read(1)
            await hers_too.read(1)
    await elsewhere.close()

    assert hers.ids == hers_too.ids == [fired]
    assert await warnings() == [xid % 2**32]
