"""The service runs through PgBouncer in transaction mode with PgBouncer's default settings."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from event_trigger.db.engine import create_engine
from event_trigger.db.migrate import migrate
from tests.support.databases import connect, create_database, drop_database, in_database
from tests.support.destinations import fire
from tests.support.pgbouncer import PROGRAM, pgbouncer, until_it_listens
from tests.support.planting import plant_triggers
from tests.support.reading import read_all
from tests.support.services import ADA, Service, running_service
from tests.support.streams import following, listening
from tests.support.triggers import instant, make_api, make_scheduled
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer here"),
    pytest.mark.xdist_group("processes"),
]

LIMITS = {
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "5s",
    "timezone": "UTC",
    "application_name": "event-trigger",
}
# as it comes, and as people configure it for clients that want more
CONFIGURED: list[dict[str, str]] = [
    {},
    {
        "ignore_startup_parameters": "extra_float_digits,lock_timeout,statement_timeout,"
        "idle_in_transaction_session_timeout"
    },
]


@pytest.fixture(params=CONFIGURED, ids=["as it comes", "ignoring parameters"])
async def pooled_url(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[str]:
    with pgbouncer(database_url, **request.param) as url:
        await until_it_listens(url)
        yield url


@pytest.fixture
async def service(pooled_url: str) -> AsyncIterator[Service]:
    async with running_service(pooled_url) as running:
        yield running


async def test_every_transaction_has_its_limits(pooled_url: str, database_url: str) -> None:
    engine = create_engine(pooled_url)
    async with engine.connect() as connection:
        limits = {
            name: (await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in LIMITS
        }
    await engine.dispose()

    assert limits == LIMITS


async def test_nothing_is_left_in_a_session_for_whoever_has_it_next(
    pooled_url: str, database_url: str
) -> None:
    engine = create_engine(pooled_url, connections=8)

    async def work() -> int:
        async with engine.begin() as connection:
            found = await connection.execute(text("SELECT CAST(:n AS int) + 1"), {"n": 1})
            return int(found.scalar_one())

    async def work_often() -> list[int]:
        return [await work() for _ in range(25)]

    found = await asyncio.gather(*(work_often() for _ in range(8)))
    async with engine.begin() as connection:
        left = (
            await connection.execute(
                text("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
            )
        ).scalar_one()
    await engine.dispose()

    assert found == [[2] * 25] * 8
    assert left == 0


async def test_callers_in_a_crowd_all_get_through(service: Service, ada: httpx.AsyncClient) -> None:
    triggers = [await make_api(ada, payload={"n": number}) for number in range(4)]

    fired = await asyncio.gather(*(fire(ada, triggers[n % 4]) for n in range(200)))
    # a request waits for a connection for 5 s, in which a busy machine reads few more
    read = await asyncio.gather(*(ada.get(f"/events/{one}") for one in fired[:50]))
    counts = (await ada.get("/events", params={"aggregate": True})).json()

    assert len(set(fired)) == 200
    assert {one.status_code for one in read} == {200}
    assert [one["count"] for one in counts] == [50] * 4


async def test_what_is_due_fires_once_without_notifications(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    await plant_triggers(database, 300)
    once = await make_scheduled(ada, {"interval": "PT1S"})

    async def fired() -> list[dict[str, Any]]:
        return await read_all(ada, "/events", type="scheduled")

    events = await eventually(fired, lambda found: len(found) >= 301)

    assert len(events) == len({one["trigger_id"] for one in events}) == 301
    [due] = [one for one in events if one["trigger_id"] == once["id"]]
    assert instant(due["scheduled_for"]) == instant(once["next_fire_at"])


async def test_a_stream_follows_what_is_fired(service: Service, ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada)

    async with listening(service) as url, following(url, ADA) as stream:
        event_id = await fire(ada, trigger)
        [event] = await stream.read(1)

    assert event["id"] == event_id


async def test_a_new_database_is_migrated_through_it(server_url: str) -> None:
    url = await create_database(server_url)
    with pgbouncer(url) as pooled_url:
        await until_it_listens(pooled_url)
        engines = [create_engine(pooled_url) for _ in range(3)]
        await asyncio.gather(*(migrate(engine) for engine in engines))
        for engine in engines:
            await engine.dispose()
    connection = await connect(url)
    tables = await connection.fetchval("SELECT count(*) FROM triggers")
    await connection.close()
    await drop_database(url)

    assert tables == 0


async def test_notifications_are_heard_where_there_is_a_direct_url(
    pooled_url: str, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_service(pooled_url, listen_database_url=SecretStr(database_url)):
        said = await eventually(lambda: listeners(database_url), bool)
    async with running_service(pooled_url):
        await eventually(lambda: printed(capsys), lambda out: "notifications_not_heard" in out)
        unheard = await listeners(database_url)

    assert said
    assert not unheard


async def listeners(database_url: str) -> int:
    """Counts our sessions whose last statement was LISTEN."""
    connection = await connect(in_database(database_url, "postgres"))
    try:
        found = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'"
        )
    finally:
        await connection.close()
    return int(found)


async def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out
