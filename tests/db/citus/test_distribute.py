"""`distribute`, as an operator runs it.

There is no Citus here. A plain database stands in for one (tests/support/citus.py): its functions
record the calls, and refuse those that Citus documents to refuse. The tests show the order of the
statements, that each runs once, and that a stopped run continues; not that a cluster accepts them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from event_trigger.db.citus.placement import Placement, tables_of
from event_trigger.db.citus.plan import ROLE_SETTINGS
from tests.support.citus import list_placed, stand_in_for_citus
from tests.support.commands import Done, Here
from tests.support.databases import connect
from tests.support.processes import run, with_database

IN_PLACE = "Every table is in its place."
NOTHING_LEFT = "Nothing to do: every table is in its place."
CUT = {table.name for table in tables_of(Placement.DISTRIBUTED)}


@pytest.fixture
async def cluster(database: Any) -> Any:
    await stand_in_for_citus(database)
    return database


Distribute = Callable[..., Awaitable[Done]]


@pytest.fixture
def distribute(here: Here, database_url: str) -> Distribute:
    async def run_here(*options: str) -> Done:
        return await asyncio.to_thread(here, "distribute", *options, **with_database(database_url))

    return run_here


def lines(done: Done, beginning: str) -> list[str]:
    return [line for line in done.out.splitlines() if line.startswith(beginning)]


async def list_keys(database: Any) -> set[str]:
    """Returns PostgreSQL's definition of every foreign key."""
    rows = await database.fetch(
        "SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f'"
    )
    return {row[0] for row in rows}


async def test_a_server_without_citus_is_left_alone_with_a_word(
    distribute: Distribute, database: Any
) -> None:
    before = await list_keys(database)

    done = await distribute()

    assert (done.code, done.out) == (1, "")
    assert "This database has no Citus extension" in done.err
    assert "Traceback" not in done.err
    assert await list_keys(database) == before


async def test_a_dry_run_shows_the_plan_on_any_server_and_changes_nothing(
    here: Here, empty_url: str
) -> None:
    options = with_database(empty_url)
    done = await asyncio.to_thread(here, "distribute", "--dry-run", **options)

    database = await connect(empty_url)
    tables = await database.fetch("SELECT FROM pg_tables WHERE schemaname = 'public'")
    await database.close()
    assert (done.code, done.err) == (0, "")
    assert len(lines(done, "SELECT create_distributed_table(")) == len(CUT)
    assert tables == []


async def test_what_is_cut_comes_first_and_then_the_settings_of_the_role(
    distribute: Distribute, cluster: Any
) -> None:
    keys = await list_keys(cluster)

    shown = await distribute("--dry-run")
    untouched = await list_placed(cluster)
    done = await distribute()

    cut = lines(done, "SELECT create_distributed_table(")
    settings = lines(done, "ALTER ROLE CURRENT_USER IN DATABASE ")
    assert untouched == []
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [*shown.out.splitlines(), IN_PLACE]
    assert shown.out.splitlines() == [*cut, *settings]
    assert len(settings) == len(ROLE_SETTINGS)
    assert await list_keys(cluster) == keys


async def test_what_belongs_to_owners_is_cut_by_shard_and_lies_together_and_that_is_all(
    distribute: Distribute, cluster: Any
) -> None:
    await distribute()
    before = await list_placed(cluster)
    again = await distribute()
    shown = await distribute("--dry-run")

    placed = await list_placed(cluster)
    cut = {name: (column, group) for name, kind, column, group in placed}
    assert {kind for _, kind, *_ in placed} == {"distributed"}
    assert cut.keys() == CUT
    assert {column for column, _ in cut.values()} == {"shard"}
    assert len({group for _, group in cut.values()}) == 1
    assert (again.code, again.out) == (0, f"{NOTHING_LEFT}\n")
    assert (shown.code, shown.out) == (0, f"-- {NOTHING_LEFT}\n")
    assert await list_placed(cluster) == before


@pytest.mark.parametrize("at", ["calendars", "triggers"])
async def test_a_run_that_was_stopped_is_gone_on_with(
    distribute: Distribute, folder: Path, database_url: str, cluster: Any, at: str
) -> None:
    await cluster.execute("INSERT INTO stand_in_trouble VALUES ($1::text::regclass)", at)

    settings = with_database(database_url)
    stopped = await asyncio.to_thread(run, folder, "distribute", **settings)
    placed = await list_placed(cluster)
    await cluster.execute("DELETE FROM stand_in_trouble")
    done = await distribute()

    assert stopped.returncode == 1
    assert "a worker does not answer" in stopped.stderr
    assert (done.code, done.err) == (0, "")
    assert (await list_placed(cluster))[: len(placed)] == placed
    assert {name for name, *_ in await list_placed(cluster)} == CUT


async def test_two_runs_at_once_do_everything_once(
    folder: Path, database_url: str, cluster: Any
) -> None:
    settings = with_database(database_url)

    both = await asyncio.gather(
        *[asyncio.to_thread(run, folder, "distribute", **settings) for _ in range(2)]
    )

    assert [(done.returncode, done.stderr) for done in both] == [(0, ""), (0, "")]
    assert sorted(done.stdout == f"{NOTHING_LEFT}\n" for done in both) == [False, True]


async def test_what_somebody_placed_otherwise_is_refused_before_anything_is_changed(
    distribute: Distribute, cluster: Any
) -> None:
    await cluster.execute(
        "INSERT INTO stand_in (table_name, citus_table_type, distribution_column, colocation_id)"
        " VALUES ('events', 'distributed', 'trigger_id', 2)"
    )
    before = await list_placed(cluster), await list_keys(cluster)

    done = await distribute()

    assert (done.code, done.out) == (1, "")
    assert done.err == "events is distributed by trigger_id, not shard.\n"
    assert (await list_placed(cluster), await list_keys(cluster)) == before


async def test_a_schema_of_another_version_is_migrated_first(
    distribute: Distribute, cluster: Any
) -> None:
    await cluster.execute("UPDATE alembic_version SET version_num = '0001'")

    done = await distribute()

    assert (done.code, done.out) == (1, "")
    assert "run 'migrate'" in done.err
