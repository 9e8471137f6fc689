"""The command `upgrade`: brings the data of an older embedded PostgreSQL to this version."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection

from event_trigger.audit.recorder import AuditedSession
from event_trigger.bootstrap import SettingsError
from event_trigger.config import Settings
from event_trigger.db.backup import restore_backup, write_backup
from event_trigger.db.embedded.binaries import chosen_folder
from event_trigger.db.embedded.server import EmbeddedPostgresError, has_data, url_if_running
from event_trigger.db.embedded.upgrade import Upgrade, open_upgrade
from event_trigger.db.engine import create_maintenance_engine, create_sessions
from event_trigger.db.migrate import migrate
from event_trigger.db.shards import ACROSS_SHARDS, ONE_SERVER
from event_trigger.db.urls import asyncpg_url
from event_trigger.reconciliation.verify import Verification, verify

_TABLES = text(
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
)


def upgrade_data(settings: Settings, old_programs: Path | None) -> int:
    """Upgrades the embedded data, and returns the exit code: 1 if not every instant adds up.

    1. The old server starts, so that it recovers from a crash; its rows are counted.
    2. pg_upgrade copies its files into a new cluster; without it a dump is restored.
    3. The new server starts, and must have the same rows; it is migrated and verified.
    4. The new cluster takes the place of the old one, which is kept under another name.

    Until step 4 the data directory can be used as before, also after a crash. Raises SettingsError
    or EmbeddedPostgresError, whose messages say what to do.
    """
    _require_embedded_data(settings)
    with open_upgrade(settings.data_dir, old_programs) as upgrade:
        if upgrade is None:
            chosen = " EVENT_TRIGGER_PG_BIN chooses it." if chosen_folder() else ""
            print(f"Nothing to do: the data is of the PostgreSQL version that runs it.{chosen}")
            return 0
        old, new = upgrade.old.binaries.version, upgrade.new.binaries.version
        missing = upgrade.missing_program
        way = "pg_upgrade" if missing is None else f"a dump, since there is no {missing}"
        _say(f"{upgrade.bytes_of_data / 1024**2:,.0f} MiB of PostgreSQL {old} to {new}, by {way}.")
        rows = _carry_over(upgrade)
        _say("The new server starts; the schema is migrated, and every instant is accounted for.")
        with upgrade.new_server() as url:
            verification = asyncio.run(_look_at(url, rows, settings))
        kept = upgrade.put_in_place()
    print(*verification.findings, verification.summary(), sep="\n")
    print(
        f"The data is PostgreSQL {new}'s now. The old data is in {kept}, as it was: remove it when"
        " the service has run well. What was changed in its postgresql.conf is not taken over."
    )
    return 0 if verification.adds_up else 1


def _require_embedded_data(settings: Settings) -> None:
    if settings.database_url is not None:
        raise SettingsError(
            "DATABASE_URL is set: 'upgrade' is for the data of the embedded PostgreSQL. Upgrade a"
            " server of your own by its documentation, or by 'backup' and 'restore'."
        )
    if not has_data(settings.data_dir):
        raise SettingsError(
            f"There is no database in {settings.data_dir}. For another folder, set"
            " EVENT_TRIGGER_DATA_DIR."
        )
    if url_if_running(settings.data_dir):
        raise SettingsError("The service runs on this data: stop it first.")


def _carry_over(upgrade: Upgrade) -> Mapping[str, int]:
    """Makes the new cluster, and returns the number of rows in each table of the old one."""
    if upgrade.missing_program is None:
        with upgrade.old_server() as url:
            rows = asyncio.run(_count_rows(url))
        _say(f"{sum(rows.values()):,} rows are copied.")
        upgrade.copy_files()
        return rows
    dump = upgrade.make_dump_folder() / "dump"
    with upgrade.old_server() as url:
        rows = asyncio.run(_count_rows(url))
        _say(f"{sum(rows.values()):,} rows are dumped.")
        write_backup(make_url(url), dump)
    _say("The dump is restored.")
    upgrade.restore(lambda url: restore_backup(make_url(url), dump))
    dump.unlink()
    return rows


async def _look_at(url: str, rows: Mapping[str, int], settings: Settings) -> Verification:
    found = await _count_rows(url)
    if found != rows:
        wrong = sorted(one for one in {*rows, *found} if rows.get(one) != found.get(one))
        raise EmbeddedPostgresError(
            f"the new cluster has not the rows of the old one, in {', '.join(wrong)}; the data"
            " is as it was before. Please report it"
        )
    engine = create_maintenance_engine(asyncpg_url(url))
    try:
        async with engine.connect() as connection:
            await connection.execute(text("ANALYZE"))
            await connection.commit()
        await migrate(engine)
        return await verify(create_sessions(engine, AuditedSession), keep_for=settings.keep_for)
    finally:
        await engine.dispose()


async def _count_rows(url: str) -> dict[str, int]:
    engine = create_maintenance_engine(asyncpg_url(url))
    try:
        async with engine.connect() as connection:
            tables = (await connection.scalars(_TABLES)).all()
            return {table: await _rows_in(connection, table) for table in tables}
    finally:
        await engine.dispose()


async def _rows_in(connection: AsyncConnection, table: str) -> int:
    counted = await connection.scalar(
        text(f"SELECT count(*) FROM ONLY {table}"),  # noqa: S608 - by format('%I')
        execution_options={ACROSS_SHARDS: ONE_SERVER},
    )
    assert counted is not None
    return int(counted)


def _say(step: str) -> None:
    print(step, flush=True)
