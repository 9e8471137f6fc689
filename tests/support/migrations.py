"""Runs `alembic` as a person does, and adds a migration to a copy of them."""

import shutil
import subprocess
import sys
from pathlib import Path

from event_trigger.db.revisions import migrations_folder, newest_revision
from tests.support.processes import ROOT, environment

_MIGRATION = """
from alembic import op
from event_trigger.db.ddl import create_index_concurrently

revision = "test"
down_revision = "{newest}"
branch_labels = depends_on = None


def upgrade() -> None:
    {upgrade}
"""


def folder_with(path: Path, *upgrade: str) -> Path:
    """Copies the migrations, and adds the revision `test` with these statements of Python."""
    folder = path / "alembic"
    shutil.copytree(migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = _MIGRATION.format(newest=newest_revision(), upgrade="\n    ".join(upgrade))
    (folder / "versions" / "test.py").write_text(text)
    return folder


def alembic(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command, such as `downgrade 0014`, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env=environment(DATABASE_URL=url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
