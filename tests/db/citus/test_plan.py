"""What is left to do, for whatever a cluster has placed already."""

from dataclasses import replace

import pytest

from event_trigger.db.citus.placement import REFERENCE, Placement, tables_of
from event_trigger.db.citus.plan import CatalogState, Misplaced, Placed, plan

COPIED = {name: Placed("reference", "<none>", 1) for name in REFERENCE}
CUT = {table.name: Placed("distributed", "shard", 2) for table in tables_of(Placement.DISTRIBUTED)}
DONE = replace(CatalogState.untouched(), placed={**COPIED, **CUT})
OF_TRIGGERS = "fk_triggers_owner_id_users"


def without(table: str) -> CatalogState:
    return replace(DONE, placed={name: one for name, one in DONE.placed.items() if name != table})


def test_a_cluster_with_everything_in_its_place_is_left_alone() -> None:
    assert plan(DONE) == []


def test_a_table_of_a_later_version_joins_the_others() -> None:
    assert plan(without("triggers")) == [
        f"ALTER TABLE triggers DROP CONSTRAINT {OF_TRIGGERS}",
        "SELECT create_distributed_table('triggers', 'shard', colocate_with => 'block_counts')",
        f"ALTER TABLE triggers ADD CONSTRAINT {OF_TRIGGERS} FOREIGN KEY(owner_id)"
        " REFERENCES users (id) ON DELETE CASCADE",
    ]


def test_the_first_table_joins_those_that_are_there_before_it() -> None:
    first = tables_of(Placement.DISTRIBUTED)[0].name

    [statement] = plan(without(first))

    assert statement.startswith(
        f"SELECT create_distributed_table('{first}', 'shard', colocate_with"
    )
    assert "none" not in statement


def test_a_key_that_a_stopped_run_left_out_comes_back() -> None:
    [statement] = plan(replace(DONE, foreign_keys=DONE.foreign_keys - {OF_TRIGGERS}))

    assert statement.startswith(f"ALTER TABLE triggers ADD CONSTRAINT {OF_TRIGGERS} ")


@pytest.mark.parametrize(
    ("table", "placed", "why"),
    [
        ("events", Placed("distributed", "trigger_id", 2), "events is distributed by trigger_id"),
        ("events", Placed("reference", "<none>", 1), "events is a reference table"),
        ("users", Placed("distributed", "id", 2), "users is a distributed table"),
        ("audit_entries", Placed("reference", "<none>", 1), "it should be local"),
        ("events", Placed("distributed", "shard", 3), "not colocated"),
    ],
)
def test_what_somebody_placed_otherwise_is_refused(table: str, placed: Placed, why: str) -> None:
    with pytest.raises(Misplaced, match=why):
        plan(replace(DONE, placed={**DONE.placed, table: placed}))
