"""Statements with one plan for all values read single rows, also if it was made on empty tables."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from event_trigger.db.engine import create_engine
from event_trigger.db.page_sessions import PageSessions
from event_trigger.db.plain_session import PlainReads
from event_trigger.db.shards import OwnedId
from event_trigger.events.pages import EventPages
from event_trigger.events.window import TimeWindow
from event_trigger.firing.replays import ReplayableEvents
from tests.support.one_server import one_server
from tests.support.plans import generic_plans_of
from tests.support.services import ADA

pytestmark = one_server("workers make the plans of a cluster")

NOW = datetime.now(UTC)
KEPT = TimeWindow(NOW - timedelta(days=2), NOW + timedelta(minutes=1))
_SCAN = re.compile(r"(\w+)(?: using (\w+))? on (\w+)[^\n]*(?:\n +Index Cond: ([^\n]*))?")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


def scans_of(plan: str, table: str) -> set[tuple[str, tuple[str, ...]]]:
    """Gives the indexes by which a table or its partitions are read, with the columns compared."""
    found = set()
    for how, index, scanned, condition in _SCAN.findall(plan):
        if scanned == table or scanned.startswith(f"{table}_p"):
            compared = tuple(dict.fromkeys(re.findall(r"\((\w+) [<>=]", condition)))
            found.add((index.removeprefix(f"{scanned}_") or how, compared))
    return found


async def test_an_event_and_its_trigger_are_replayed_by_their_primary_keys(
    engine: AsyncEngine,
) -> None:
    events = ReplayableEvents(PageSessions(PlainReads(engine)))

    [*_, plan] = await generic_plans_of(engine, lambda _: events.get(OwnedId(ADA, 1), KEPT))

    assert scans_of(plan, "events") == {("pkey", ("shard", "id", "triggered_at"))}
    assert scans_of(plan, "triggers") == {("pk_triggers", ("shard", "id"))}


async def test_an_event_is_read_by_its_primary_key_in_any_partition(engine: AsyncEngine) -> None:
    async def work(session: AsyncSession) -> None:
        await EventPages(session).get_of(OwnedId(ADA, 1), since=KEPT.start)

    [plan] = await generic_plans_of(engine, work)

    assert scans_of(plan, "events") == {("pkey", ("shard", "id", "triggered_at"))}
