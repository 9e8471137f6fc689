"""The service notes that it runs, and when it did not."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.scheduling.beats import list_outages, purge_outages, record_beat
from tests.support.services import Service

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture
async def sessions(idle: Service) -> AsyncIterator[Sessions]:
    engine = create_engine(idle.database_url)
    yield create_sessions(engine)
    await engine.dispose()


async def beaten(database: Any, ago: timedelta) -> None:
    await database.execute("DELETE FROM service_outages")
    await database.execute("UPDATE service_beats SET beat_at = now() - $1::interval", ago)


async def outages_of(sessions: Sessions, database: Any) -> list[timedelta]:
    """Gives how long the outages of the last day took."""
    since = await database.fetchval("SELECT now() - interval '1 day'")
    async with sessions() as session:
        found = await list_outages(session, since=since)
    return [one.ended_at - one.began_at for one in found]


async def test_a_gap_of_some_seconds_is_no_outage(sessions: Sessions, database: Any) -> None:
    await beaten(database, 4 * SECOND)

    await record_beat(sessions)

    assert await outages_of(sessions, database) == []


async def test_a_longer_gap_is_an_outage_even_before_anybody_has_noted_it(
    sessions: Sessions, database: Any
) -> None:
    await beaten(database, HOUR)

    [seen] = await outages_of(sessions, database)
    await record_beat(sessions)
    await record_beat(sessions)
    [noted] = await outages_of(sessions, database)

    assert HOUR <= seen <= noted


async def test_old_outages_are_purged(sessions: Sessions, database: Any) -> None:
    await beaten(database, SECOND)
    await database.execute(
        """
        INSERT INTO service_outages (began_at, ended_at)
        VALUES (now() - interval '200 days', now() - interval '199 days'),
            (now() - interval '60 days', now() - interval '59 days')
        """
    )

    await purge_outages(sessions)

    assert await database.fetchval("SELECT count(*) FROM service_outages") == 1
