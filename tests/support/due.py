"""Fires what is due in a test's own process."""

import asyncio
from typing import Any

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.scheduling.commits import Commits
from event_trigger.scheduling.dispatcher import fire_due

# for `format`: the event of one trigger fails, until it succeeds
FAIL = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '{code}'; END
    $$;
    CREATE TRIGGER fail BEFORE INSERT ON events FOR EACH ROW
        WHEN (NEW.trigger_id = {trigger_id}) EXECUTE FUNCTION fail();
"""
SUCCEED = """
    CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RETURN NEW; END
    $$
"""


async def fire_all(database_url: str) -> None:
    """Fires due triggers until nothing is due any more."""
    engine = create_engine(database_url)
    commits = Commits(create_sessions(engine), lambda: None)
    try:
        while await fire_due(commits) == 0:
            pass
    finally:
        await commits.end()
        await engine.dispose()


async def fire_in_time(database_url: str, database: Any) -> None:
    """Lets all triggers be due at one instant that is ahead, and fires them when it comes."""
    await database.execute("UPDATE triggers SET next_fire_at = now() + interval '2 s'")
    engine = create_engine(database_url)
    commits = Commits(create_sessions(engine), lambda: None)
    try:
        while await database.fetchval(  # noqa: ASYNC110
            "SELECT count(*) FROM triggers WHERE next_fire_at < now() + interval '1 min'"
        ):
            await asyncio.sleep(await fire_due(commits))
    finally:
        await commits.end()
        await engine.dispose()
