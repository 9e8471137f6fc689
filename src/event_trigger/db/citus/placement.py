"""Decides each table's place in a cluster: distributed by shard, or local to the coordinator."""

from enum import StrEnum

from sqlalchemy import Table

from event_trigger.models import Base

SHARD_COLUMN = "shard"  # every table with owned rows has it, and is distributed by it
# As reference tables, which have a copy on every node, they could be joined with owned rows on the
# workers. But each change would need every node, so that none could sign in while a worker is away,
# and row locks of reference tables are locks of the whole table on the first worker: sign-ins and
# refreshes deadlocked.
LOCAL_TABLES = frozenset(
    {
        "account_mails",
        "alembic_version",
        "api_keys",
        "audit_entries",
        "count_passes",
        "event_partitions",
        "hooks",
        "installation",
        "invitations",
        "logins",
        "measured_partitions",
        "minute_partitions",
        "notice_listeners",
        "password_resets",
        "project_members",
        "projects",
        "refresh_tokens",
        "service_beats",
        "service_outages",
        "sign_in_failures",
        "users",
        "zone_rules",
    }
)


class Placement(StrEnum):
    DISTRIBUTED = "distributed"
    LOCAL = "local"


class UnplacedTable(ValueError):
    def __init__(self, table: str) -> None:
        super().__init__(
            f"The table {table} has no place in a cluster yet: add it to placement.py."
        )


def placement_of(table: Table) -> Placement:
    """Raises UnplacedTable for a table that has no shard and is not among the local ones."""
    if SHARD_COLUMN in table.columns:
        return Placement.DISTRIBUTED
    if table.name in LOCAL_TABLES:
        return Placement.LOCAL
    raise UnplacedTable(table.name)


def tables_of(placement: Placement) -> list[Table]:
    """Returns the tables of a placement in a fixed order."""
    return [one for one in Base.metadata.sorted_tables if placement_of(one) is placement]
