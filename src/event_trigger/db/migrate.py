"""Brings the database to the newest migration, also when several replicas start at once."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from event_trigger.db.engine import create_engine
from event_trigger.db.installation import keep_installation

_LOCK = 0x6576_7472  # "evtr": whoever holds this advisory lock migrates, the others wait


def migrations_folder() -> Path:
    """The migrations inside an installed wheel, or else those of the source tree."""
    package = Path(str(files("event_trigger")))
    inside_wheel = package / "db" / "alembic"
    return inside_wheel if inside_wheel.is_dir() else package.parents[1] / "alembic"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@cache
def newest_revision() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


@cache
def _known_revisions() -> frozenset[str]:
    scripts = ScriptDirectory.from_config(_config())
    return frozenset(script.revision for script in scripts.walk_revisions())


def current_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def is_migrated(connection: Connection) -> bool:
    """Whether the schema is this version's, or a newer one's, beside which this version works."""
    current = current_revision(connection)
    newer = current is not None and current not in _known_revisions()
    return newer or current == newest_revision()


async def migrate(engine: AsyncEngine) -> None:
    """Upgrades in one transaction under an advisory lock: all of it happens, or nothing."""
    patient = create_engine(engine.url, connections=1, answer_within=None)
    try:
        async with patient.begin() as connection:
            await _migrate_alone(connection)
    finally:
        await patient.dispose()


async def _migrate_alone(connection: AsyncConnection) -> None:
    for limit in ("lock_timeout", "statement_timeout"):
        await connection.execute(text(f"SET LOCAL {limit} = 0"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if not await connection.run_sync(is_migrated):
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))
    await keep_installation(connection)
