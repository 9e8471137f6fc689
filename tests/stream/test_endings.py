"""A stream goes on as long as its reader may read it and events can still come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from structlog.testing import capture_logs

from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.tokens import ACCESS_TOKEN_LIFETIME, Tokens
from event_trigger.clock import utc_now
from event_trigger.db.engine import create_engine, create_sessions
from tests.support.databases import connect, now_of
from tests.support.destinations import fire
from tests.support.planting import plant_event
from tests.support.services import ADA, ADMIN, BOB, SECRET, Service
from tests.support.streams import Stream, following, listening
from tests.support.triggers import make_api
from tests.support.waiting import REVOKED_WITHIN, eventually

SOON = timedelta(seconds=3)


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with listening(service) as one:
        yield one


@asynccontextmanager
async def following_by(token: str, url: str) -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client,
        client.stream("GET", "/events/stream") as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield Stream(response)


async def until_past(database: Any, instant: datetime) -> None:
    await eventually(lambda: now_of(database), lambda now: now > instant)


async def test_a_stream_ends_with_its_login(url: str, service: Service) -> None:
    engine = create_engine(service.database_url)
    async with following(url, ADA) as stream:
        async with create_sessions(engine).begin() as session:
            await Logins(session).revoke(UUID(int=ADA))
        await stream.read_to_the_end()
    await engine.dispose()


async def test_a_stream_ends_with_its_token(url: str) -> None:
    made_at = utc_now() - ACCESS_TOKEN_LIFETIME + SOON
    token = Tokens(SECRET).issue(user_id=ADA, login_id=UUID(int=ADA), at=made_at)

    async with following_by(token, url) as stream:
        await stream.read_to_the_end()


async def test_a_former_admin_sees_no_more_events_of_others(
    url: str, database: Any, bob: httpx.AsyncClient
) -> None:
    his = await make_api(bob)
    async with following(url, ADMIN, project="*") as stream:
        before = await fire(bob, his)
        await stream.read(1)
        await database.execute("UPDATE users SET role = 'user' WHERE id = $1", ADMIN)
        await asyncio.sleep(REVOKED_WITHIN)
        await fire(bob, his)
        await stream.read_to_the_end()

    assert stream.ids == [before]


async def test_a_new_admins_stream_ends_to_start_again_as_one(url: str, database: Any) -> None:
    async with following(url, BOB) as stream:
        await database.execute("UPDATE users SET role = 'admin' WHERE id = $1", BOB)
        await stream.read_to_the_end()


async def test_a_stream_of_a_past_window_ends_once_its_events_are_sent(
    url: str, database: Any, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)
    events = [await fire(ada, trigger) for _ in range(3)]
    until = await now_of(database)
    await fire(ada, trigger)

    async with following(url, ADA, until=until.isoformat()) as begun_too_late:
        await begun_too_late.read_to_the_end()
    async with following(url, ADA, after=events[0], until=until.isoformat()) as again:
        await again.read_to_the_end()

    assert begun_too_late.ids == []
    assert again.ids == events[1:]


async def test_an_event_stored_in_time_that_commits_late_is_waited_for(
    url: str, database: Any, service: Service
) -> None:
    slow = await connect(service.database_url)
    until = await now_of(database) + SOON
    async with following(url, ADA, until=until.isoformat()) as stream:
        holding = slow.transaction()
        await holding.start()
        in_time = await plant_event(slow, trigger_id=1, triggered_at=await now_of(database))
        await until_past(database, until)
        await plant_event(database, trigger_id=1, triggered_at=await now_of(database))
        await asyncio.sleep(2)  # the stream looks for events during this time
        await holding.commit()
        await stream.read_to_the_end()
    await slow.close()

    assert stream.ids == [in_time]


async def test_a_reader_that_hangs_up_while_events_come_is_no_crash(
    url: str, database: Any, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)
    for _ in range(300):
        await plant_event(database, trigger_id=trigger["id"], triggered_at=await now_of(database))

    with capture_logs() as logged:

        async def ended() -> int:
            return sum(one.get("path") == "/events/stream" for one in logged)

        for _ in range(10):
            async with following(url, ADA, after=0) as stream:
                await stream.read(1)
        await eventually(ended, lambda count: count >= 10)

    assert [one for one in logged if one["log_level"] != "info"] == []
