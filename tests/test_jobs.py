"""Jobs finish their run when the service stops, and report failures and delays."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.deliveries.attempts import AttemptParts
from event_trigger.deliveries.http.sender import Sender
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.hooks.refusals.records import RefusalLog
from event_trigger.job_clock import first_wait, retry_wait
from event_trigger.jobs import Jobs
from event_trigger.vault import Vault
from tests.support.databases import connect
from tests.support.planting import plant_triggers
from tests.support.services import make_settings, running_service
from tests.support.waiting import eventually


@asynccontextmanager
async def made_jobs(database_url: str) -> AsyncIterator[tuple[Jobs, AsyncEngine]]:
    engine, settings = create_engine(database_url), make_settings(database_url)
    sender = Sender(AddressPolicy(), DnsResolver().lookup)
    jobs = Jobs(
        engine,
        settings,
        firing=create_sessions(engine),
        attempts=AttemptParts(sender, Renderer(), Vault.of(settings), (), public_url=None),
        refusals=RefusalLog(),
        on_notification={},
    )
    yield jobs, engine
    await engine.dispose()


async def events_and_firings(database: Any) -> tuple[int, int]:
    row = await database.fetchrow(
        "SELECT (SELECT count(*) FROM events), (SELECT coalesce(sum(fire_count), 0) FROM triggers)"
    )
    return int(row[0]), int(row[1])


async def test_stopping_lets_a_running_batch_end(database_url: str, database: Any) -> None:
    planted = await plant_triggers(database, 100)
    blocker = await connect(database_url)
    holding = blocker.transaction()
    await holding.start()
    await blocker.execute("LOCK TABLE events IN SHARE MODE")  # inserts wait

    async with made_jobs(database_url) as (jobs, _):
        jobs.start()
        await eventually(lambda: waiting_inserts(database), lambda count: count == 1)
        stopping = asyncio.create_task(jobs.stop())
        await asyncio.sleep(0.1)
        ended_early = stopping.done()
        await holding.rollback()
        await stopping
    await blocker.close()

    assert not ended_early
    assert await events_and_firings(database) == (len(planted), len(planted))


async def waiting_inserts(database: Any) -> int:
    count: int = await database.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'announced'"
    )
    return count


async def test_nothing_fires_after_stopping(database_url: str, database: Any) -> None:
    async with made_jobs(database_url) as (jobs, _):
        jobs.start()
        await eventually(jobs.dispatch_problem, lambda reason: reason is None)
        await jobs.stop()
        await plant_triggers(database, 3)
        await database.execute("SELECT pg_notify('event_trigger_schedule', '')")
        await asyncio.sleep(1.2)  # longer than the longest wait between two looks

    assert await events_and_firings(database) == (0, 0)


async def test_stopping_leaves_no_connection_and_no_task(database_url: str, database: Any) -> None:
    before = asyncio.all_tasks()
    async with made_jobs(database_url) as (jobs, _):
        jobs.start()
        await eventually(jobs.dispatch_problem, lambda reason: reason is None)
        await jobs.stop()
        left = asyncio.all_tasks() - before

    assert left == set()
    await eventually(
        lambda: database.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ),
        lambda count: count == 0,
    )


async def test_a_scheduler_that_has_not_run_is_not_trusted(database_url: str) -> None:
    async with made_jobs(database_url) as (jobs, _):
        reason = await jobs.dispatch_problem()

    assert reason == "the scheduler has not run yet"


async def test_failing_jobs_go_on_ticking_and_a_long_silence_is_said(
    database_url: str, database: Any
) -> None:
    async with running_service(database_url, retention_interval=timedelta(seconds=1)) as service:
        client = service.client()

        async def readiness() -> tuple[int, str]:
            answer = await client.get("/readyz")
            return answer.status_code, answer.text

        await eventually(readiness, lambda seen: seen[0] == 200)
        for table in ("triggers", "event_partitions"):
            await database.execute(f"ALTER TABLE {table} RENAME TO hidden_{table}")
        silent = await eventually(
            readiness,
            lambda seen: "the last dispatch was 1" in seen[1] and "job retain" in seen[1],
        )
        for table in ("triggers", "event_partitions"):
            await database.execute(f"ALTER TABLE hidden_{table} RENAME TO {table}")
        await plant_triggers(database)
        await database.execute(
            "INSERT INTO idempotency_keys"
            " VALUES (2, 1, false, 'old', '', 1, now() - interval '3 days')"
        )
        await database.execute(
            "INSERT INTO kept_answers"
            " VALUES (2, 2, '', '', 201, '{}', '', '{}', NULL, NULL, now() - interval '3 days')"
        )
        await eventually(lambda: events_and_firings(database), lambda seen: seen == (1, 1))
        await eventually(readiness, lambda seen: seen[0] == 200)
        left = (
            "SELECT (SELECT count(*) FROM idempotency_keys) + (SELECT count(*) FROM kept_answers)"
        )
        await eventually(lambda: database.fetchval(left), lambda count: count == 0)

    assert silent[0] == 503
    assert "the database refuses a statement (42P01)" in silent[1]


async def test_no_round_is_skipped_however_busy_the_process_is(
    database_url: str, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def keep_busy() -> None:
        while True:
            time.sleep(0.005)  # noqa: ASYNC251 - that is what holds the loop up
            await asyncio.sleep(0)

    planted = await plant_triggers(database, 2000)
    async with made_jobs(database_url) as (jobs, _):
        busy = asyncio.create_task(keep_busy())
        jobs.start()
        await eventually(
            lambda: events_and_firings(database), lambda found: found == (len(planted),) * 2
        )
        busy.cancel()
        await jobs.stop()

    assert "skipped" not in caplog.text


@pytest.mark.parametrize(
    ("every", "waits"),
    [(1.0, [1, 1, 1, 1, 1]), (2.0, [1, 2, 2, 2, 2]), (3600.0, [1, 2, 4, 5, 5])],
)
def test_a_job_that_fails_on_and_on_is_tried_less_often(every: float, waits: list[float]) -> None:
    assert [retry_wait(every, failures=count) for count in (1, 2, 3, 4, 5_000)] == waits


def test_jobs_of_one_interval_begin_at_different_parts_of_a_second() -> None:
    parts = sorted(first_wait(2.0, number=one) % 1 for one in range(24))

    assert all(later - earlier > 0.02 for earlier, later in pairwise(parts))
