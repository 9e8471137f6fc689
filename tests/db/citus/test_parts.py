"""Owners are spread evenly: Citus hashes the shard, and gives each server some of the hashes."""

from typing import Any

from event_trigger.db.citus.plan import CITUS_SHARD_COUNT
from event_trigger.models import SHARDS

_PER_PART = """
    SELECT count(*) FROM generate_series(0, $1::int - 1) AS shard
    GROUP BY width_bucket(hashint2(shard::smallint)::bigint + 2147483648, 0, 4294967296, $2)
"""


async def test_no_part_of_a_cluster_gets_much_more_than_its_share(database: Any) -> None:
    counts = [row["count"] for row in await database.fetch(_PER_PART, SHARDS, CITUS_SHARD_COUNT)]

    assert sum(counts) == SHARDS
    assert len(counts) >= CITUS_SHARD_COUNT - 2
    assert max(counts) <= 5
