"""Lists the shards with due triggers, or with triggers that soon will be."""

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.engine import Sessions
from event_trigger.db.nodes import ask_all_shards
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.db.transactions import Transactions
from event_trigger.models import SHARDS

LATE_AFTER = timedelta(seconds=1)
LOOKAHEAD = timedelta(seconds=2)  # longer than the dispatcher waits between two queries

# One or two index probes for each shard, in random order: so replicas rarely meet at late triggers,
# and a locked shard is not always first. The clock is read last, since the caller counts from the
# answer on. The subqueries with the ids are hashed: `<> ALL` compares each row with each id.
_LIST_DUE_SHARDS = text(f"""
    SELECT shard, extract(epoch FROM at - clock_timestamp()), has_late, has_on_time
    FROM (
        SELECT every.shard, first.at,
            first.at < now() - CAST(:late_after AS interval) AS has_late,
            first.at <= now() AND (
                SELECT next_fire_at FROM triggers
                WHERE triggers.shard = every.shard AND next_fire_at <= now()
                    AND id NOT IN (SELECT unnest(CAST(:committing AS bigint[])))
                ORDER BY next_fire_at DESC LIMIT 1
            ) >= now() - CAST(:late_after AS interval) AS has_on_time
        FROM generate_series(0, {SHARDS - 1}) AS every (shard)
        CROSS JOIN LATERAL (
            SELECT next_fire_at AS at FROM triggers
            WHERE triggers.shard = every.shard
                AND next_fire_at <= now() + CAST(:lookahead AS interval)
                AND id NOT IN (SELECT unnest(CAST(:committing AS bigint[])))
            ORDER BY next_fire_at LIMIT 1
        ) AS first
        ORDER BY random()
    ) AS due
""")  # noqa: S608
# Citus cannot probe an index once for each shard: this reads all due rows
_LIST_DUE_SHARDS_IN_CLUSTER = text("""
    SELECT shard, extract(epoch FROM min(next_fire_at) - clock_timestamp()),
        min(next_fire_at) < now() - CAST(:late_after AS interval),
        coalesce(max(next_fire_at) FILTER (WHERE next_fire_at <= now())
            >= now() - CAST(:late_after AS interval), false)
    FROM triggers
    WHERE shard = ANY (CAST(:shards AS smallint[]))
        AND next_fire_at <= now() + CAST(:lookahead AS interval)
    GROUP BY shard
    ORDER BY random()
""")


class DueShard(NamedTuple):
    """A shard whose first instant is `due_in_seconds` away; 0 or less means due now.

    `has_late`: a trigger is over 1 s late. `has_on_time`: one is due and at most 1 s late.
    """

    shard: int
    due_in_seconds: float
    has_late: bool
    has_on_time: bool

    @property
    def is_due(self) -> bool:
        return self.has_late or self.has_on_time


class DueList(NamedTuple):
    """The shards with an instant soon, and the time (`time.monotonic`) at which they were read."""

    shards: list[DueShard]
    read_at: float
    in_cluster: bool


async def read_due_shards(sessions: Sessions, committing: Sequence[int] = ()) -> DueList:
    """Lists the due shards, without a transaction unless there is a cluster."""
    async with Transactions(sessions).read() as session:
        if not await is_in_cluster(session):
            found = await list_due_shards(session, committing)
            return DueList(found, time.monotonic(), in_cluster=False)
    async with sessions() as session:
        return DueList(await list_due_shards(session), time.monotonic(), in_cluster=True)


async def list_due_shards(session: ReadSession, committing: Sequence[int] = ()) -> list[DueShard]:
    """Lists the shards with an instant up to 2 seconds from now, by the database's clock.

    It leaves out the triggers `committing`, which this process has fired: until their commit ends,
    their rows are as they were. In a cluster there are none; there it leaves out the shards of a
    node that does not answer, so that the others fire in time.
    """
    values: dict[str, Any] = {"late_after": LATE_AFTER, "lookahead": LOOKAHEAD}
    options = {ACROSS_SHARDS: "due shards"}

    async def ask(shards: Sequence[int]) -> list[DueShard]:
        of_shards = {**values, "shards": [*shards]}
        return _due(
            await session.execute(_LIST_DUE_SHARDS_IN_CLUSTER, of_shards, execution_options=options)
        )

    if await is_in_cluster(session):
        assert isinstance(session, AsyncSession)
        return await ask_all_shards(session, ask)
    values["committing"] = [*committing]
    return _due(await session.execute(_LIST_DUE_SHARDS, values, execution_options=options))


def _due(rows: Iterable[Any]) -> list[DueShard]:
    return [
        DueShard(shard, float(seconds), has_late, has_on_time)
        for shard, seconds, has_late, has_on_time in rows
    ]
