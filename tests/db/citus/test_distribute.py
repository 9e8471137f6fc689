"""`distribute`, as an operator runs it.

There is no Citus here. A plain database stands in for one (tests/support/citus.py): its functions
record the calls, and refuse those that Citus documents to refuse. The tests show the order of the
statements, that each runs once, and that a stopped run continues; not that a cluster accepts them.
"""

import asyncio
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from event_trigger.db.citus.placement import Placement, tables_of
from event_trigger.db.citus.plan import ROLE_SETTINGS
from tests.support.citus import list_placed, stand_in_for_citus
from tests.support.databases import connect
from tests.support.processes import run, with_database

IN_PLACE = "Every table is in its place."
NOTHING_LEFT = "Nothing to do: every table is in its place."
CUT = {table.name for table in tables_of(Placement.DISTRIBUTED)}


@pytest.fixture
async def cluster(database: Any) -> Any:
    await stand_in_for_citus(database)
    return database


class Operator:
    def __init__(self, folder: Path, url: str) -> None:
        self._folder, self._settings = folder, with_database(url)

    async def distribute(self, *options: str) -> CompletedProcess[str]:
        return await asyncio.to_thread(run, self._folder, "distribute", *options, **self._settings)


@pytest.fixture
def operator(folder: Path, database_url: str) -> Operator:
    return Operator(folder, database_url)


def lines(done: CompletedProcess[str], beginning: str) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith(beginning)]


async def list_keys(database: Any) -> set[str]:
    """Returns PostgreSQL's definition of every foreign key."""
    rows = await database.fetch(
        "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f'"
    )
    return {row[0] for row in rows}


async def test_a_server_without_citus_is_left_alone_with_a_word(
    operator: Operator, database: Any
) -> None:
    before = await list_keys(database)

    done = await operator.distribute()

    assert (done.returncode, done.stdout) == (1, "")
    assert "This database has no Citus extension" in done.stderr
    assert "Traceback" not in done.stderr
    assert await list_keys(database) == before


async def test_a_dry_run_shows_the_plan_on_any_server_and_changes_nothing(
    folder: Path, empty_url: str
) -> None:
    done = await Operator(folder, empty_url).distribute("--dry-run")

    database = await connect(empty_url)
    tables = await database.fetch("SELECT FROM pg_tables WHERE schemaname = 'public'")
    await database.close()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(lines(done, "SELECT create_distributed_table(")) == len(CUT)
    assert tables == []


async def test_what_is_cut_comes_first_and_then_the_settings_of_the_role(
    operator: Operator, cluster: Any
) -> None:
    keys = await list_keys(cluster)

    shown = await operator.distribute("--dry-run")
    untouched = await list_placed(cluster)
    done = await operator.distribute()

    cut = lines(done, "SELECT create_distributed_table(")
    settings = lines(done, "ALTER ROLE CURRENT_USER IN DATABASE ")
    assert untouched == []
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [*shown.stdout.splitlines(), IN_PLACE]
    assert shown.stdout.splitlines() == [*cut, *settings]
    assert len(settings) == len(ROLE_SETTINGS)
    assert await list_keys(cluster) == keys


async def test_what_belongs_to_owners_is_cut_by_shard_and_lies_together_and_that_is_all(
    operator: Operator, cluster: Any
) -> None:
    await operator.distribute()
    before = await list_placed(cluster)
    again = await operator.distribute()
    shown = await operator.distribute("--dry-run")

    placed = await list_placed(cluster)
    cut = {name: (column, group) for name, kind, column, group in placed}
    assert {kind for _, kind, *_ in placed} == {"distributed"}
    assert cut.keys() == CUT
    assert {column for column, _ in cut.values()} == {"shard"}
    assert len({group for _, group in cut.values()}) == 1
    assert (again.returncode, again.stdout) == (0, f"{NOTHING_LEFT}\n")
    assert (shown.returncode, shown.stdout) == (0, f"-- {NOTHING_LEFT}\n")
    assert await list_placed(cluster) == before


@pytest.mark.parametrize("at", ["calendars", "triggers"])
async def test_a_run_that_was_stopped_is_gone_on_with(
    operator: Operator, cluster: Any, at: str
) -> None:
    await cluster.execute("INSERT INTO stand_in_trouble VALUES ($1::text::regclass)", at)

    stopped = await operator.distribute()
    placed = await list_placed(cluster)
    await cluster.execute("DELETE FROM stand_in_trouble")
    done = await operator.distribute()

    assert stopped.returncode == 1
    assert "a worker does not answer" in stopped.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert (await list_placed(cluster))[: len(placed)] == placed
    assert {name for name, *_ in await list_placed(cluster)} == CUT


async def test_two_runs_at_once_do_everything_once(operator: Operator, cluster: Any) -> None:
    both = await asyncio.gather(operator.distribute(), operator.distribute())

    assert [(done.returncode, done.stderr) for done in both] == [(0, ""), (0, "")]
    assert sorted(done.stdout == f"{NOTHING_LEFT}\n" for done in both) == [False, True]


async def test_what_somebody_placed_otherwise_is_refused_before_anything_is_changed(
    operator: Operator, cluster: Any
) -> None:
    await cluster.execute(
        "INSERT INTO stand_in (table_name, citus_table_type, distribution_column, colocation_id)"
        " VALUES ('events', 'distributed', 'trigger_id', 2)"
    )
    before = await list_placed(cluster), await list_keys(cluster)

    done = await operator.distribute()

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "events is distributed by trigger_id, not shard.\n"
    assert (await list_placed(cluster), await list_keys(cluster)) == before


async def test_a_schema_of_another_version_is_migrated_first(
    operator: Operator, cluster: Any
) -> None:
    await cluster.execute("UPDATE alembic_version SET version_num = '0001'")

    done = await operator.distribute()

    assert (done.returncode, done.stdout) == (1, "")
    assert "run 'migrate'" in done.stderr
