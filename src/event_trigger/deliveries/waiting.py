"""Finds what waits to be sent, from one destination with something waiting to the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import Destination

# however long a queue is, this takes a probe of the index for each destination
_WAITING = """
    WITH RECURSIVE waiting AS (
        (SELECT shard, destination_id FROM deliveries WHERE {within} next_attempt_at IS NOT NULL
        ORDER BY shard, destination_id LIMIT 1)
        UNION ALL
        SELECT further.shard, further.destination_id
        FROM waiting CROSS JOIN LATERAL (
            SELECT shard, destination_id FROM deliveries
            WHERE {within} next_attempt_at IS NOT NULL
                AND (shard, destination_id) > (waiting.shard, waiting.destination_id)
            ORDER BY shard, destination_id LIMIT 1
        ) AS further
    )
"""
_WAITING_NOW = """
    SELECT waiting.shard, destinations.owner_id, waiting.destination_id, first.payload_size,
        extract(epoch FROM GREATEST(first.at, destinations.probe_at, destinations.held_until)
            - clock_timestamp())
    FROM waiting
    JOIN destinations ON destinations.shard = {shard}
        AND destinations.id = waiting.destination_id AND destinations.disabled_reason IS NULL
    CROSS JOIN LATERAL (
        SELECT next_attempt_at AS at, payload_size FROM deliveries
        WHERE deliveries.shard = {shard}
            AND deliveries.destination_id = waiting.destination_id AND next_attempt_at IS NOT NULL
        ORDER BY next_attempt_at LIMIT 1
    ) AS first
"""
_NEGLECTED = """
    SELECT waiting.shard, waiting.destination_id FROM waiting WHERE EXISTS (
        SELECT FROM deliveries
        WHERE deliveries.shard = {shard}
            AND deliveries.destination_id = waiting.destination_id
            AND next_attempt_at < now() - CAST(:after AS interval)
    )
"""


@dataclass(frozen=True, slots=True)
class _Question:
    """One statement for all shards, and one for each; Citus goes along one shard at a time."""

    of_all: TextClause
    of_one: TextClause

    @classmethod
    def about(cls, found: str) -> "_Question":
        return cls(
            text((_WAITING + found).format(within="", shard="waiting.shard")),
            text((_WAITING + found).format(within="shard = :shard AND", shard=":shard")),
        )


_LIST_WAITING = _Question.about(_WAITING_NOW)
_LIST_NEGLECTED = _Question.about(_NEGLECTED)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A destination that something waits for: the size of the first payload, in bytes, and the
    seconds until it is due."""

    shard: int
    owner_id: int
    destination_id: int
    first_size: int
    seconds: float


@dataclass(frozen=True)
class WaitingList:
    session: AsyncSession
    in_cluster: bool = False

    async def list_waiting(self) -> list[Waiting]:
        """Every enabled destination that something waits for, now or later."""
        return [
            Waiting(shard, owner_id, one, size, float(seconds))
            for shard, owner_id, one, size, seconds in await self._ask(_LIST_WAITING, {})
        ]

    async def list_neglected(self, after: timedelta) -> list[tuple[int, int]]:
        """Shards and destinations for which something has been due for so long."""
        rows = await self._ask(_LIST_NEGLECTED, {"after": after})
        return [(shard, destination_id) for shard, destination_id in rows]

    async def _ask(
        self, question: _Question, values: dict[str, Any]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        if not self.in_cluster:
            options = {ACROSS_SHARDS: "one server"}
            rows = await self.session.execute(question.of_all, values, execution_options=options)
            return rows.all()
        found: list[Row[*tuple[Any, ...]]] = []
        for shard in await self._list_shards():
            wanted = {**values, "shard": shard}
            found += (await self.session.execute(question.of_one, wanted)).all()
        return found

    async def _list_shards(self) -> Sequence[int]:
        """Those that have a destination: 64 at the most."""
        options = {ACROSS_SHARDS: "due shards"}
        statement = select(Destination.shard).distinct()
        return (await self.session.scalars(statement, execution_options=options)).all()
