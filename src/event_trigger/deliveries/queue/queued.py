"""Finds the destinations with queued deliveries, on one server or shard by shard in a cluster."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import TextClause, select, text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.nodes import ask_all_shards
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS, ONE_SERVER
from event_trigger.models import Destination

# skips from one destination to the next (a loose index scan): one probe of the index for each,
# however long their queues are
_QUEUED = """
    WITH RECURSIVE queued AS (
        (SELECT shard, destination_id FROM deliveries WHERE {within} next_attempt_at IS NOT NULL
        ORDER BY shard, destination_id LIMIT 1)
        UNION ALL
        SELECT following.shard, following.destination_id
        FROM queued CROSS JOIN LATERAL (
            SELECT shard, destination_id FROM deliveries
            WHERE {within} next_attempt_at IS NOT NULL
                AND (shard, destination_id) > (queued.shard, queued.destination_id)
            ORDER BY shard, destination_id LIMIT 1
        ) AS following
    )
"""
_FIRST_DUE = """
    SELECT queued.shard, destinations.owner_id, queued.destination_id, first.payload_size,
        CAST(extract(epoch FROM GREATEST(first.at, destinations.probe_at, destinations.held_until)
            - clock_timestamp()) AS float8)
    FROM queued
    JOIN destinations ON destinations.shard = {shard}
        AND destinations.id = queued.destination_id AND destinations.disabled_reason IS NULL
    CROSS JOIN LATERAL (
        SELECT next_attempt_at AS at, payload_size FROM deliveries
        WHERE deliveries.shard = {shard}
            AND deliveries.destination_id = queued.destination_id AND next_attempt_at IS NOT NULL
        ORDER BY next_attempt_at LIMIT 1
    ) AS first
"""
_EXPIRED = """
    SELECT queued.shard, queued.destination_id FROM queued WHERE EXISTS (
        SELECT FROM deliveries
        WHERE deliveries.shard = {shard}
            AND deliveries.destination_id = queued.destination_id
            AND next_attempt_at < now() - CAST(:after AS interval)
    )
"""


@dataclass(frozen=True, slots=True)
class _ShardedQuery:
    """One query in two forms: on one server for all shards, in a Citus cluster for one shard."""

    all_shards: TextClause
    one_shard: TextClause

    @classmethod
    def of(cls, query: str) -> "_ShardedQuery":
        return cls(
            text((_QUEUED + query).format(within="", shard="queued.shard")),
            text((_QUEUED + query).format(within="shard = :shard AND", shard=":shard")),
        )


_LIST_QUEUED = _ShardedQuery.of(_FIRST_DUE)
_LIST_EXPIRED = _ShardedQuery.of(_EXPIRED)


class QueuedDestination(NamedTuple):
    """A destination with queued deliveries: `first_size` is the payload size of the first, in
    bytes, and `due_in` the seconds until it may be sent; not positive when it is due."""

    shard: int
    owner_id: int
    destination_id: int
    first_size: int
    due_in: float


@dataclass(frozen=True)
class QueuedDestinations:
    session: ReadSession
    in_cluster: bool = False

    async def list_queued(self) -> list[QueuedDestination]:
        """Lists every enabled destination with queued deliveries, due now or later."""
        return [*map(QueuedDestination._make, await self._run(_LIST_QUEUED, {}))]

    async def list_expired(self, after: timedelta) -> list[tuple[int, int]]:
        """Lists (shard, destination id) wherever a delivery has been due for longer than that."""
        expired = await self._run(_LIST_EXPIRED, {"after": after})
        return [(row.shard, row.destination_id) for row in expired]

    async def _run(self, query: _ShardedQuery, values: dict[str, Any]) -> Iterable[Any]:
        if not self.in_cluster:
            options = {ACROSS_SHARDS: ONE_SERVER}
            return await self.session.execute(query.all_shards, values, execution_options=options)

        session = self.session
        assert isinstance(session, AsyncSession)

        async def ask(shards: Sequence[int]) -> list[Row[Any]]:
            rows: list[Row[Any]] = []
            used = select(Destination.shard).distinct().where(Destination.shard.in_(shards))
            options = {ACROSS_SHARDS: "due shards"}
            for shard in (await session.scalars(used, execution_options=options)).all():
                rows += await session.execute(query.one_shard, {**values, "shard": shard})
            return rows

        return await ask_all_shards(session, ask)
