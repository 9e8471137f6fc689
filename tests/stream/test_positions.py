"""A stream goes on from its last position, also behind events that its filter leaves out."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.tokens import Tokens
from event_trigger.clock import utc_now
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.events.filters import EventFilter
from event_trigger.events.repository import CommittedEvents, Events, Position
from event_trigger.events.window import TimeWindow
from event_trigger.stream.subscriptions import Subscriptions
from event_trigger.stream.tail import Tail
from tests.support.destinations import fire
from tests.support.plans import plans_of
from tests.support.planting import plant_event
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, SECRET, Service, token_of
from tests.support.streams import following, listening
from tests.support.triggers import make_api

START = Position(0, 0)


@pytest.fixture
async def sessions(database_url: str) -> AsyncIterator[Sessions]:
    engine = create_engine(database_url)
    yield create_sessions(engine)
    await engine.dispose()


async def read(
    sessions: Sessions, position: Position, *, limit: int = 200, **filters: Any
) -> CommittedEvents:
    window = TimeWindow(utc_now() - timedelta(hours=1), None)
    async with sessions() as session:
        wanted = EventFilter(ADA, window, **filters)
        return await Events(session).list_after(wanted, position, limit=limit)


async def plant(database: Any, count: int, *, is_test: bool = False) -> list[int]:
    return [
        await plant_event(database, trigger_id=1, triggered_at=utc_now(), is_test=is_test)
        for _ in range(count)
    ]


def ids(stretch: CommittedEvents) -> list[int]:
    return [event.id for event in stretch.page.rows]


async def test_events_that_a_filter_leaves_out_are_read_once(
    sessions: Sessions, database: Any
) -> None:
    await plant(database, 3)

    looked = await read(sessions, START, is_test=True)
    behind = await read(sessions, looked.end)
    (later,) = await plant(database, 1, is_test=True)
    news = await read(sessions, looked.end, is_test=True)

    assert (ids(looked), ids(behind), ids(news)) == ([], [], [later])


async def test_after_a_full_page_the_position_is_its_last_event(
    sessions: Sessions, database: Any
) -> None:
    planted = await plant(database, 5)

    found, end, more = [], START, True
    while more:
        stretch = await read(sessions, end, limit=2)
        found.append(ids(stretch))
        end, more = stretch.end, stretch.page.more

    assert found == [planted[:2], planted[2:4], planted[4:]]


async def test_a_position_behind_a_running_transaction_is_kept(
    sessions: Sessions, database: Any
) -> None:
    async with database.transaction():
        await database.execute("SELECT pg_current_xact_id()")
        stretch = await read(sessions, START)
        ahead = Position(stretch.horizon.oldest, 7)

        assert (await read(sessions, ahead)).end == ahead


async def test_events_after_a_position_are_found_by_an_index(sessions: Sessions) -> None:
    wanted = EventFilter(ADA, TimeWindow(utc_now() - timedelta(hours=1), None))

    plans = await plans_of(
        sessions.kw["bind"], lambda session: Events(session).list_after(wanted, START, limit=10)
    )

    conditions = [line for line in "\n".join(plans).splitlines() if "Index Cond" in line]
    assert conditions
    assert all("(xid < " in line for line in conditions), plans


async def test_an_event_with_the_number_of_another_server_counts_as_gone(
    service: Service, database: Any
) -> None:
    """A dump has the transaction numbers of its server; another server's start at the beginning."""
    ada = service.client(ADA)
    trigger = await make_api(ada)
    restored = await fire(ada, trigger)
    await database.execute("UPDATE events SET xid = xid + 1000000000 WHERE shard = $1", ADA)

    async with listening(service) as url, following(url, ADA, after=restored) as stream:
        fired = await fire(ada, trigger)
        await stream.read(1)

    assert stream.ids == [fired]


async def test_a_stream_does_not_wait_for_a_number_of_another_server(sessions: Sessions) -> None:
    """Its reader comes back with an id, and gets the events that are kept."""
    subscriptions = Subscriptions(connections=10)
    credentials = CredentialCache(sessions, Tokens(SECRET), DatabaseClock(sessions))
    principal = await credentials.identify(token_of(ADA))
    assert principal is not None

    def everything(now: datetime) -> EventFilter:
        return EventFilter(ADA, TimeWindow(now, None))

    follower = Tail(sessions, subscriptions, credentials, principal, everything)

    with subscriptions.subscribe(user_id=ADA, owner_id=ADA) as subscription:
        async with asyncio.timeout(30):
            news = [one async for one in follower.follow(subscription, Position(10**15, 0))]

    assert news == []


async def test_a_page_of_archived_events_is_no_stream(service: Service) -> None:
    ada, anonymous = service.client(ADA), service.client()

    refused = await ada.get("/events/stream", params={"state": "archived"})
    nobody = await anonymous.get("/events/stream", params={"state": "archived"})

    assert places_of(refused) == ["state"]
    assert refused.json()["detail"] == "Write 'active'."
    problem_of(nobody, 401)


async def test_a_stream_shows_active_events(service: Service, ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada)

    async with listening(service) as url, following(url, ADA, state="active") as stream:
        fired = await fire(ada, trigger)
        await stream.read(1)

    assert stream.ids == [fired]
