"""The plan contains only the missing statements, in an order that Citus accepts."""

from dataclasses import replace

import pytest

from event_trigger.db.citus.placement import REFERENCE_TABLES, Placement, tables_of
from event_trigger.db.citus.plan import CatalogState, MisplacedTable, PlacedTable, plan_statements

COPIED = {name: PlacedTable("reference", "<none>", 1) for name in REFERENCE_TABLES}
CUT = {
    table.name: PlacedTable("distributed", "shard", 2) for table in tables_of(Placement.DISTRIBUTED)
}
DONE = replace(CatalogState.untouched(), placed={**COPIED, **CUT})
OF_LOGINS, OF_TOKENS = "fk_logins_user_id_users", "fk_refresh_tokens_login_id_logins"


def without(table: str) -> CatalogState:
    return replace(DONE, placed={name: one for name, one in DONE.placed.items() if name != table})


def test_a_cluster_with_everything_in_its_place_is_left_alone() -> None:
    assert plan_statements(DONE) == []


def test_a_table_of_a_later_version_joins_the_others() -> None:
    assert plan_statements(without("triggers")) == [
        "SELECT create_distributed_table('triggers', 'shard', colocate_with => 'block_counts')",
    ]


def test_a_copied_table_has_no_foreign_keys_while_it_is_placed() -> None:
    assert plan_statements(without("logins")) == [
        f"ALTER TABLE logins DROP CONSTRAINT {OF_LOGINS}",
        f"ALTER TABLE refresh_tokens DROP CONSTRAINT {OF_TOKENS}",
        "SELECT create_reference_table('logins')",
        f"ALTER TABLE logins ADD CONSTRAINT {OF_LOGINS} FOREIGN KEY(user_id)"
        " REFERENCES users (id) ON DELETE CASCADE",
        f"ALTER TABLE refresh_tokens ADD CONSTRAINT {OF_TOKENS} FOREIGN KEY(login_id)"
        " REFERENCES logins (id) ON DELETE CASCADE",
    ]


def test_projects_are_copied_before_the_users_and_members_that_refer_to_them() -> None:
    order = ("projects", "users", "project_members")

    statements = plan_statements(CatalogState.untouched())

    copied = [f"SELECT create_reference_table('{one}')" for one in order]
    assert [one for one in statements if one in copied] == copied
    assert not any("owner_id" in one for one in statements)


def test_the_first_table_joins_those_that_are_there_before_it() -> None:
    first = tables_of(Placement.DISTRIBUTED)[0].name

    [statement] = plan_statements(without(first))

    assert statement.startswith(
        f"SELECT create_distributed_table('{first}', 'shard', colocate_with"
    )
    assert "none" not in statement


def test_a_key_that_a_stopped_run_left_out_comes_back() -> None:
    [statement] = plan_statements(replace(DONE, foreign_keys=DONE.foreign_keys - {OF_LOGINS}))

    assert statement.startswith(f"ALTER TABLE logins ADD CONSTRAINT {OF_LOGINS} ")


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
