"""Knows the revisions of the schema without Alembic, whose import would delay each start."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, text

_REVISION = re.compile(r'^(down_)?revision = "(\w+)"$', re.MULTILINE)
_HAS_VERSION = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_VERSION = text("SELECT version_num FROM alembic_version")


def migrations_folder() -> Path:
    """Returns the folder of migrations in an installed wheel, or else in the source tree."""
    package = Path(str(files("event_trigger")))
    inside_wheel = package / "db" / "alembic"
    return inside_wheel if inside_wheel.is_dir() else package.parents[1] / "alembic"


@cache
def known_revisions(folder: Path | None = None) -> frozenset[str]:
    return _revisions(folder)[0]


@cache
def newest_revision(folder: Path | None = None) -> str | None:
    """Returns the one that no other follows."""
    revisions, followed = _revisions(folder)
    return max(revisions - followed, default=None)


@cache
def _revisions(folder: Path | None) -> tuple[frozenset[str], frozenset[str]]:
    """Reads all revisions, and those that another one names as the revision before it."""
    versions = (folder or migrations_folder()) / "versions"
    found = [pair for file in versions.glob("*.py") for pair in _REVISION.findall(file.read_text())]
    return (
        frozenset(name for is_followed, name in found if not is_followed),
        frozenset(name for is_followed, name in found if is_followed),
    )


def current_revision(connection: Connection) -> str | None:
    if not connection.scalar(_HAS_VERSION):
        return None
    version: str | None = connection.scalar(_VERSION)
    return version


def is_migrated(connection: Connection, folder: Path | None = None) -> bool:
    """Tells whether the schema has the newest revision, or one that only newer versions know.

    This version also works with the schema of the next one.
    """
    current = current_revision(connection)
    is_newer = current is not None and current not in known_revisions(folder)
    return is_newer or current == newest_revision(folder)
