"""Runs `alembic` as a person does, or in this process; adds a migration to a copy of them."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url

from event_trigger.db.engine import create_maintenance_engine
from event_trigger.db.migrate import run_giving_way
from event_trigger.db.revisions import migrations_folder, newest_revision
from event_trigger.db.shards import ACROSS_SHARDS
from tests.support.one_server import one_server
from tests.support.processes import ROOT, environment
from tests.support.shards import ONE_SERVER

back_before_projects = one_server("before 0016, rows refer to users as those of a cluster cannot")
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


async def downgrade(url: str, revision: str) -> None:
    """Downgrades in this process, as the start of a service upgrades; on one server only."""
    options = {ACROSS_SHARDS: ONE_SERVER}
    await _move(url, lambda config: command.downgrade(config, revision), options)


async def upgrade(url: str) -> None:
    await _move(url, lambda config: command.upgrade(config, "head"), {})


async def _move(url: str, work: Callable[[Config], None], options: dict[str, str]) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        work(config)

    engine = create_maintenance_engine(make_url(url))
    async with engine.connect() as connection:
        await connection.execution_options(**options)
        await run_giving_way(connection, run)
    await engine.dispose()
