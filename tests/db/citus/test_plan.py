"""The plan contains only the missing statements, in an order that Citus accepts."""

from dataclasses import replace

import pytest

from event_trigger.db.citus.placement import Placement, tables_of
from event_trigger.db.citus.plan import (
    ROLE_SETTINGS,
    CatalogState,
    MisplacedTable,
    PlacedTable,
    plan_statements,
)

CUT = {
    table.name: PlacedTable("distributed", "shard", 2) for table in tables_of(Placement.DISTRIBUTED)
}
DONE = CatalogState("app", CUT, ROLE_SETTINGS)


def without(table: str) -> CatalogState:
    return replace(DONE, placed={name: one for name, one in DONE.placed.items() if name != table})


def test_a_cluster_with_everything_in_its_place_is_left_alone() -> None:
    assert plan_statements(DONE) == []


def test_a_table_of_a_later_version_joins_the_others() -> None:
    assert plan_statements(without("triggers")) == [
        "SELECT create_distributed_table('triggers', 'shard', colocate_with => 'block_counts')",
    ]


def test_tables_without_owned_rows_stay_where_they_are() -> None:
    statements = plan_statements(CatalogState("app"))

    named = " ".join(statements)
    assert not [table.name for table in tables_of(Placement.LOCAL) if f"'{table.name}'" in named]
    assert len([one for one in statements if "create_distributed_table" in one]) == len(CUT)


def test_the_first_table_joins_those_that_are_there_before_it() -> None:
    first = tables_of(Placement.DISTRIBUTED)[0].name

    [statement] = plan_statements(without(first))

    assert statement.startswith(
        f"SELECT create_distributed_table('{first}', 'shard', colocate_with"
    )
    assert "none" not in statement


def test_a_setting_that_is_missing_or_was_changed_is_set() -> None:
    changed = {**ROLE_SETTINGS, "timezone": "Europe/Berlin"}
    del changed["lock_timeout"]

    assert plan_statements(replace(DONE, settings=changed)) == [
        "ALTER ROLE CURRENT_USER IN DATABASE app SET lock_timeout = '5s'",
        "ALTER ROLE CURRENT_USER IN DATABASE app SET timezone = 'UTC'",
    ]


@pytest.mark.parametrize(
    ("table", "placed", "why"),
    [
        (
            "events",
            PlacedTable("distributed", "trigger_id", 2),
            "events is distributed by trigger_id",
        ),
        ("events", PlacedTable("reference", "<none>", 1), "events is a reference table"),
        ("users", PlacedTable("distributed", "id", 2), "users is a distributed table"),
        ("audit_entries", PlacedTable("reference", "<none>", 1), "it should be local"),
        ("events", PlacedTable("distributed", "shard", 3), "not colocated"),
    ],
)
def test_what_somebody_placed_otherwise_is_refused(
    table: str, placed: PlacedTable, why: str
) -> None:
    with pytest.raises(MisplacedTable, match=why):
        plan_statements(replace(DONE, placed={**DONE.placed, table: placed}))
