"""Stores events, moves their triggers on and announces them, in one statement where that can be."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Result, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.events.repository import ANNOUNCE, Events, announcing

_AT_ONCE = "WITH announced AS ({announce}), moved AS ({move}) {insert}"


class EventWriter:
    """An INSERT of events, with `{xid}` for the transaction's number, and an UPDATE of triggers.

    Each way to PostgreSQL and back costs more than what is done there for a few events. In a
    cluster of Citus they are three statements: the coordinator announces, and has no rows.
    """

    def __init__(self, insert: str, move: str) -> None:
        at_once = insert.format(xid="(SELECT xid FROM announced)")
        self._all = text(_AT_ONCE.format(announce=ANNOUNCE, move=move, insert=at_once))
        # said, not left to the default: in a cluster that would be the worker's own
        self._insert = text(insert.format(xid="CAST(:xid AS bigint)"))
        self._move = text(move)

    async def execute(
        self, session: AsyncSession, owner_ids: Iterable[int], values: Mapping[str, Any]
    ) -> Result[*tuple[Any, ...]]:
        """Gives what the INSERT returns; it sees the triggers as they were."""
        if not await is_in_cluster(session):
            return await session.execute(
                self._all,
                {**values, **announcing(owner_ids)},
                execution_options={ACROSS_SHARDS: "one server"},
            )
        xid = await Events(session).announce(owner_ids)
        stored = await session.execute(self._insert, {**values, "xid": xid})
        await self.move(session, values)
        return stored

    async def move(self, session: AsyncSession, values: Mapping[str, Any]) -> None:
        """Only the UPDATE, for triggers without an event."""
        await session.execute(self._move, dict(values))
