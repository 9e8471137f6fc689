"""Runs a primary and its hot standby on this machine, with streaming replication."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from sqlalchemy import make_url

from event_trigger.db.embedded.server import running_postgres
from tests.support.databases import connect, in_database, in_memory
from tests.support.waiting import eventually

SLOT = "standby"
_NOT_COPIED = shutil.ignore_patterns("postmaster.pid", "postmaster.opts", "pg_replslot")


@dataclass
class Pair:
    """A primary and a standby, which can be stopped, or made to receive without replaying."""

    primary_url: str
    folder: Path
    standby_url: str = ""
    _running: ExitStack = field(default_factory=ExitStack)

    def on_standby(self, database_url: str) -> str:
        name = make_url(database_url).database
        assert name is not None
        return in_database(self.standby_url, name)

    def start_standby(self) -> None:
        self.standby_url = self._running.enter_context(running_postgres(self.folder, durable=False))

    def stop_standby(self) -> None:
        self._running.close()

    def kill_standby(self) -> None:
        pid = (self.folder / "cluster" / "postmaster.pid").read_text().split("\n")[0]
        psutil.Process(int(pid)).kill()
        self._running.close()

    async def ask(self, statement: str) -> object:
        """Runs a statement on the standby, and gives its value."""
        connection = await connect(in_database(self.standby_url, "postgres"))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    async def catch_up(self) -> None:
        """Waits until the standby has replayed all of the primary's WAL."""
        connection = await connect(in_database(self.primary_url, "postgres"))
        try:
            position = await connection.fetchval("SELECT pg_current_wal_insert_lsn()::text")
        finally:
            await connection.close()
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        await eventually(lambda: self.ask(reached), bool)

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """Pauses the standby's replay for as long as the body runs."""
        await self.catch_up()
        await self.ask("SELECT pg_wal_replay_pause()")
        await eventually(
            lambda: self.ask("SELECT pg_get_wal_replay_pause_state() = 'paused'"), bool
        )
        try:
            yield
        finally:
            await self.ask("SELECT pg_wal_replay_resume()")


@contextmanager
def primary_and_standby() -> Iterator[Pair]:
    with TemporaryDirectory(
        prefix="event-trigger-pair-", dir=in_memory(), ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with running_postgres(folder / "primary", durable=False) as url:
            yield Pair(url, folder / "standby")


async def copy_primary(pair: Pair) -> None:
    """Takes a base backup: copies the files between `pg_backup_start` and `pg_backup_stop`."""
    connection = await connect(in_database(pair.primary_url, "postgres"))
    old = connection.get_server_version().major < 15
    begin, end = (
        ("pg_start_backup('copy', true, false)", "pg_stop_backup(false, false)")
        if old
        else ("pg_backup_start('copy', true)", "pg_backup_stop(false)")
    )
    await connection.execute(f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
    await connection.execute(f"SELECT {begin}")
    source, target = pair.folder.parent / "primary" / "cluster", pair.folder / "cluster"
    pair.folder.mkdir()
    pair.folder.chmod(0o711)
    shutil.copytree(source, target, ignore=_NOT_COPIED)
    (target / "pg_replslot").mkdir()
    label = await connection.fetchval(f"SELECT labelfile FROM {end}")
    await connection.close()
    (target / "backup_label").write_text(label)
    (target / "standby.signal").touch()
    _follow(target / "postgresql.auto.conf", pair.primary_url)
    _own_like(source, target)


def _follow(file: Path, primary_url: str) -> None:
    query = make_url(primary_url).query
    with file.open("a") as written:
        written.write(
            f"primary_conninfo = 'host={query['host']} port={query['port']} user=postgres'\n"
            f"primary_slot_name = '{SLOT}'\nmax_standby_streaming_delay = 0\n"
            "wal_retrieve_retry_interval = '200ms'\n"
        )


def _own_like(source: Path, target: Path) -> None:
    owner = source.stat()
    for path in (target, *target.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    target.chmod(0o700)
