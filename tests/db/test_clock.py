"""A process uses the database's clock, and not that of its own machine."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from event_trigger.auth.tokens import ACCESS_TOKEN_LIFETIME
from event_trigger.db.clock import READ_EVERY_SECONDS, DatabaseClock
from event_trigger.db.engine import Sessions, create_engine, create_sessions
from tests.support.clock import name_of
from tests.support.hooks import BODY, make_hook, standard
from tests.support.keys import holding, make_key
from tests.support.logins import sign_in, who_am_i
from tests.support.services import ADA, Service, idle_service
from tests.support.waiting import eventually

LATER = timedelta(hours=2)
SECOND = timedelta(seconds=1)


async def set_off_by(database: Any, url: str, off_by: timedelta) -> None:
    """Shifts the database's clock for present and new connections."""
    await database.execute("CREATE SCHEMA IF NOT EXISTS testing")
    for name in ("now", "clock_timestamp", "statement_timestamp"):
        await database.execute(
            f"CREATE OR REPLACE FUNCTION testing.{name}() RETURNS timestamptz STABLE LANGUAGE sql"
            f" AS 'SELECT pg_catalog.{name}() + interval ''{off_by.total_seconds()} s'''"
        )
    await database.execute(
        f"ALTER DATABASE {name_of(url)} SET search_path = testing, pg_catalog, public"
    )


@pytest.fixture
async def sessions(database: Any, database_url: str) -> AsyncIterator[Sessions]:
    await set_off_by(database, database_url, LATER)
    engine = create_engine(database_url)
    yield create_sessions(engine)
    await engine.dispose()


def seconds_apart(shown: datetime, ours: datetime) -> float:
    return abs((shown - ours).total_seconds())


async def test_between_readings_it_runs_by_the_monotonic_clock(sessions: Sessions) -> None:
    at = 100.0
    clock = DatabaseClock(sessions, monotonic=lambda: at)

    first = await clock.now()
    at += 5.5

    assert seconds_apart(first, datetime.now(UTC) + LATER) < 60
    assert await clock.now() - first == timedelta(seconds=5.5)


async def test_a_clock_that_was_set_is_followed(
    sessions: Sessions, database: Any, database_url: str
) -> None:
    at = 100.0
    clock = DatabaseClock(sessions, monotonic=lambda: at)
    first = await clock.now()
    await set_off_by(database, database_url, -LATER)
    assert await clock.now() == first

    at += READ_EVERY_SECONDS + 1

    await eventually(clock.now, lambda now: now < first - LATER)


async def test_while_the_database_is_away_it_runs_on(sessions: Sessions, database: Any) -> None:
    at = 100.0
    clock = DatabaseClock(sessions, monotonic=lambda: at)
    first = await clock.now()
    await database.execute("DROP FUNCTION testing.clock_timestamp()")
    await database.execute(
        "CREATE FUNCTION testing.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql"
        " AS 'BEGIN RAISE EXCEPTION ''away''; END'"
    )

    for _ in range(3):
        at += READ_EVERY_SECONDS + 1
        assert await clock.now() == first + timedelta(seconds=at - 100)
    with pytest.raises(DBAPIError, match="away"):
        await DatabaseClock(sessions).now()


async def test_where_there_is_no_database_there_is_no_time() -> None:
    engine = create_engine("postgresql://nobody@127.0.0.1:1/nowhere")

    with pytest.raises((OSError, OperationalError)):
        await DatabaseClock(create_sessions(engine)).now()

    await engine.dispose()


@pytest.mark.parametrize("off_by", [LATER, -LATER])
async def test_tokens_keys_and_signatures_are_judged_by_it(
    database: Any, database_url: str, off_by: timedelta
) -> None:
    """The replica's own time of day is right, and makes no difference."""
    await set_off_by(database, database_url, off_by)
    async with idle_service(database_url) as service:
        ada, anonymous = service.client(ADA), service.client()
        tokens = await sign_in(anonymous)
        there = datetime.now(UTC) + off_by
        key = await make_key(ada, expires_at=(there + 60 * SECOND).isoformat())
        hook = await make_hook(ada, "standard_webhooks")

        assert (await who_am_i(anonymous, tokens)).status_code == 200
        assert (await holding(service, key).get("/triggers")).status_code == 200
        assert await called(service, hook, age=-off_by) == 200
        assert await called(service, hook, age=timedelta()) == 401
    await set_off_by(database, database_url, off_by + ACCESS_TOKEN_LIFETIME + SECOND)
    async with idle_service(database_url) as restarted:
        assert (await who_am_i(restarted.client(), tokens)).status_code == 401
        assert (await holding(restarted, key).get("/triggers")).status_code == 401


async def called(service: Service, hook: Any, *, age: timedelta) -> int:
    headers = standard(hook, name=f"msg {age}", age=age)
    answer: httpx.Response = await service.client().post(
        f"/hooks/{hook.token}", content=BODY, headers=headers
    )
    return answer.status_code
