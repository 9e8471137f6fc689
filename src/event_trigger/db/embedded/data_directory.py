"""Makes the cluster, completely or not at all, in a folder that the server's account can reach."""

import logging
import os
import shutil
import tempfile
from pathlib import Path

from event_trigger.db.embedded.binaries import Binaries
from event_trigger.db.embedded.os_user import (
    ROOT_FOLDER,
    EmbeddedPostgresError,
    OsUser,
    make_root_folder,
)

DATABASE = "event_trigger"
_CLUSTER = "cluster"
_UPGRADING = "cluster.upgrading"
_UPGRADED = "cluster.upgraded"  # complete; the old one has another name, or is about to get it
_DUMP = "upgrade-dump"
_POINTER = "cluster-is-elsewhere"
_logger = logging.getLogger(__name__)


def make_data_dir(data_dir: Path) -> Path:
    """Makes the data directory with mode 0700, and returns its resolved path.

    A new or empty one of root gets mode 0711: PostgreSQL runs as another account and must pass
    through it to its cluster.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_dir = data_dir.resolve()
    is_new = {path.name for path in data_dir.iterdir()} <= {"lock"}
    if is_new and os.geteuid() == 0 and data_dir.stat().st_uid == 0:
        data_dir.chmod(data_dir.stat().st_mode | 0o011)
    return data_dir


def find_home(data_dir: Path) -> Path | None:
    """Returns the folder that holds this data directory's cluster, or None if there is no cluster.

    Raises EmbeddedPostgresError if that folder is gone.
    """
    if _has_cluster(data_dir):
        return data_dir
    pointer = data_dir / _POINTER
    if not pointer.exists():
        return None
    home = Path(pointer.read_text().strip())
    if home.parent != ROOT_FOLDER or not home.is_dir():
        raise EmbeddedPostgresError(
            f"{pointer} says that the data is in {home}, where it is not; bring that folder back, "
            f"or remove {pointer} to start with an empty database"
        )
    return home


def choose_home(data_dir: Path, account: OsUser) -> Path:
    """Returns the data directory, or a new folder under ROOT_FOLDER if the account cannot reach it.

    For a place such as /root, the alternative would be wider modes on folders that are not ours.
    """
    if account.reaches(data_dir):
        return data_dir
    home = Path(tempfile.mkdtemp(dir=make_root_folder(), prefix="data-"))
    home.chmod(0o711)
    _write_whole(data_dir / _POINTER, f"{home}\n")
    _logger.warning(
        "PostgreSQL cannot run as root, nor reach %s as another account: its data is in %s. "
        "Keep both, or set EVENT_TRIGGER_DATA_DIR to a place that is not root's alone.",
        *(data_dir, home),
    )
    return home


def prepare_cluster(home: Path, account: OsUser, binaries: Binaries, *, durable: bool) -> Path:
    """Makes the cluster if there is none, and returns its path.

    Raises EmbeddedPostgresError, without any change, if another version of PostgreSQL made it.
    """
    cluster = home / _CLUSTER
    _finish_replacement(home)
    if not cluster.exists():
        _make(cluster, account, binaries, durable=durable)
    elif not account.reaches(cluster):
        raise EmbeddedPostgresError(
            f"PostgreSQL runs as uid {account.uid}, which cannot enter {cluster}; let it through "
            f"the folders above, or run the service as that user"
        )
    _check_version(cluster, binaries)
    return cluster


def made_by(cluster: Path) -> int:
    """Returns the major version of the PostgreSQL that made a cluster.

    Raises EmbeddedPostgresError if it is none.
    """
    version = cluster / "PG_VERSION"
    found = version.read_text().strip() if version.exists() else ""
    if not found.isdecimal():
        raise EmbeddedPostgresError(
            f"{cluster} is not a PostgreSQL cluster; move it away to start with an empty database"
        )
    return int(found)


def begin_replacement(home: Path, account: OsUser, binaries: Binaries, *, database: bool) -> Path:
    """Makes an empty cluster beside the old one, with our `database` if that is wanted."""
    upgrading = home / _UPGRADING
    account.make_private(upgrading)
    _initialise(upgrading, account, binaries, durable=True)
    if database:
        _create_database(upgrading, account, binaries, durable=True)
    return upgrading


def drop_replacement(home: Path) -> None:
    """Removes what an upgrade has made so far; the old cluster is as it was.

    If that has left its place already, the new one is kept for it.
    """
    if not (home / _CLUSTER).exists():
        return
    for name in (_UPGRADING, _UPGRADED, _DUMP):
        if (home / name).exists():
            shutil.rmtree(home / name)


def make_dump_folder(home: Path) -> Path:
    folder = home / _DUMP
    folder.mkdir(mode=0o700)
    return folder


def upgrading_cluster(home: Path) -> Path:
    """Returns the path of the cluster that an upgrade makes."""
    return home / _UPGRADING


def replace_cluster(home: Path, old_major: int) -> Path:
    """Puts the new cluster in the place of the old one, and returns the path of the old one.

    An interruption loses neither: until the new one is renamed, the next start does it.
    """
    kept = require_free_name(home, old_major)
    (home / _UPGRADING).rename(home / _UPGRADED)
    _sync_names(home)
    (home / _CLUSTER).rename(kept)
    _sync_names(home)
    _finish_replacement(home)
    return kept


def require_free_name(home: Path, old_major: int) -> Path:
    """Returns the path that the old cluster gets; raises EmbeddedPostgresError if it is taken."""
    kept = home / f"{_CLUSTER}-{old_major}"
    if kept.exists():
        raise EmbeddedPostgresError(
            f"{kept} is there already, from an earlier upgrade; move it away"
        )
    return kept


def _finish_replacement(home: Path) -> None:
    if (home / _UPGRADED).exists() and not (home / _CLUSTER).exists():
        (home / _UPGRADED).rename(home / _CLUSTER)
        _sync_names(home)


def _has_cluster(home: Path) -> bool:
    return any((home / name).exists() for name in (_CLUSTER, _UPGRADED))


def _check_version(cluster: Path, binaries: Binaries) -> None:
    found = made_by(cluster)
    if found == binaries.major:
        return
    was = (
        f"the data in {cluster} was made by PostgreSQL {found}, and {binaries.folder} has "
        f"PostgreSQL {binaries.major}; nothing was changed."
    )
    if found > binaries.major:
        raise EmbeddedPostgresError(
            f"{was} Data cannot go back to an older PostgreSQL: run the version of the service that"
            f" was used before, or set EVENT_TRIGGER_PG_BIN to the programs of PostgreSQL {found}"
        )
    raise EmbeddedPostgresError(
        f"{was} Run 'event-trigger upgrade', which needs the programs of PostgreSQL {found}, too;"
        " or go on with that version: set EVENT_TRIGGER_PG_BIN to its programs"
    )


def _make(cluster: Path, account: OsUser, binaries: Binaries, *, durable: bool) -> None:
    """Makes a cluster with our database; it gets its final name when it is complete."""
    if not account.has_name:
        raise EmbeddedPostgresError(
            f"PostgreSQL makes its data only for an account with a name, and the user id"
            f" {account.uid} has none: add a line for it to /etc/passwd (useradd), or set"
            " DATABASE_URL"
        )
    unfinished = cluster.with_name(f"{_CLUSTER}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    account.make_private(unfinished)
    _initialise(unfinished, account, binaries, durable=durable)
    _create_database(unfinished, account, binaries, durable=durable)
    unfinished.rename(cluster)
    _sync_names(cluster.parent)


def _initialise(cluster: Path, account: OsUser, binaries: Binaries, *, durable: bool) -> None:
    # libc's collations differ between machines, which corrupts indexes; PostgreSQL's own do not
    builtin = ["--locale-provider=builtin", "--locale=C.UTF-8"]
    locale = builtin if binaries.major >= 17 else ["--locale=C"]
    status, output = account.run(
        [
            *(binaries.folder / "initdb", "-D", cluster, "-U", "postgres"),
            *("--auth-local=trust", "--auth-host=reject"),  # the socket's folder controls access
            *("--encoding=UTF8", "--data-checksums", "--no-instructions", *locale),
            *(() if durable else ("--no-sync",)),
        ]
    )
    if status != 0:
        raise EmbeddedPostgresError(f"initdb could not make {cluster}:\n{output}")


def _create_database(cluster: Path, account: OsUser, binaries: Binaries, *, durable: bool) -> None:
    status, output = account.run(
        [
            *(binaries.folder / "postgres", "--single", "-D", cluster),
            *("-c", "exit_on_error=on", "-c", f"fsync={'on' if durable else 'off'}", "postgres"),
        ],
        statements=f"CREATE DATABASE {DATABASE};\n",
    )
    if status != 0:
        raise EmbeddedPostgresError(f"PostgreSQL could not create a database:\n{output}")


def _write_whole(path: Path, text: str) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.touch(mode=0o600)
    with unfinished.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    _sync_names(path.parent)


def _sync_names(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
