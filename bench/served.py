"""Serves databases with the default settings: each call is a line of the log, written to a file."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import make_url

from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.users import add_user
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.models import Role
from tests.faults.site import Site, site
from tests.support.databases import create_database
from tests.support.services import PASSWORD, quick_passwords

OWNERS = 64  # one in each shard
DEFAULTS = {
    "EVENT_TRIGGER_LOG_LEVEL": "info",  # where tests write warnings only
    # an installation has its bytecode: compiling costs each start half a second, and 20 MiB
    "PYTHONDONTWRITEBYTECODE": "",
}


@asynccontextmanager
async def default_site(more: dict[str, str] | None = None) -> AsyncIterator[Site]:
    """Runs a durable PostgreSQL for replicas that have the default settings, and `more`."""
    async with site(DEFAULTS | (more or {})) as built:
        yield built


async def copy_of(built: Site) -> Site:
    """Copies the database within the same PostgreSQL, for replicas of its own."""
    url = await create_database(built.postgres.url, template=str(make_url(built.url).database))
    return replace(built, url=url, replicas=[])


async def end_replicas(sites: Sequence[Site]) -> None:
    for one in sites:
        await one.end()


async def add_owners(url: str, count: int = OWNERS) -> list[int]:
    """Adds users with a project and a login each, whose tokens `token_of` signs."""
    engine = create_engine(url)
    sessions, passwords, made = create_sessions(engine), quick_passwords(), []
    for number in range(count):
        user = await add_user(
            sessions,
            passwords,
            email=f"owner{number}@example.com",
            password=PASSWORD,
            role=Role.USER,
        )
        async with sessions.begin() as session:
            await Logins(session).add(UUID(int=user.id), user.id, timedelta(days=1))
        made.append(user.id)
    await engine.dispose()
    return made
