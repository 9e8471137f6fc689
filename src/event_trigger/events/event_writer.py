"""Stores events, updates their triggers and announces them, in one statement where possible."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.citus.few_rows import FewRows
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS, ONE_SERVER
from event_trigger.events.repository import (
    ANNOUNCE,
    TAKE_XID,
    announce,
    announcing,
    take_ids,
    take_xid,
)

_ONE_STATEMENT = "WITH announced AS ({announce}), updated AS ({update}) {insert}"

_THE_SHARD = "CAST(:shard AS smallint)"


class StoredEvent(NamedTuple):
    """An event that this transaction has stored; the last two are read only if they are wanted."""

    id: int
    triggered_at: datetime
    trigger_id: int | None = None
    scheduled_for: datetime | None = None


STORED, NAMED = StoredEvent._fields[:2], StoredEvent._fields  # what a writer may return


class EventWriter:
    """Runs an INSERT of events together with an UPDATE of their triggers.

    The INSERT has `{xid}` in place of the transaction's number. On one server all is a single
    statement, since a round trip costs more than storing a few events. In a cluster of Citus
    it is three: the coordinator announces the events, and holds none of the rows. `few` is the
    INSERT there, unless there are too many events; or `with_ids` is, which takes `:event_ids` and
    names the table `stored`. A writer that does not announce them leaves that to its caller, for
    after the commit. One for `several_shards` is never run in a cluster.
    """

    def __init__(
        self,
        insert: str,
        update: str,
        *,
        returns: Sequence[str] = (),
        announces: bool = True,
        several_shards: bool = False,
        few: FewRows | None = None,
        with_ids: str | None = None,
    ) -> None:
        self._few = few
        self._is_returning = bool(returns)
        self._announces = announces
        if returns:
            insert += f" RETURNING {', '.join(returns)}"
        insert_announced = insert.format(xid="(SELECT xid FROM announced)")
        self._one_statement = text(
            _ONE_STATEMENT.format(
                announce=ANNOUNCE if announces else TAKE_XID, update=update, insert=insert_announced
            )
        )
        # given, not left to the column's default: in a cluster that is the worker's own number
        self._insert = text(insert.format(xid="CAST(:xid AS bigint)"))
        self._with_ids = None
        if with_ids is not None:
            # Citus loses the name of the table unless it has another one
            named = f" RETURNING {', '.join(f'stored.{one}' for one in returns)}" if returns else ""
            self._with_ids = text(with_ids + named)
        options = {ACROSS_SHARDS: ONE_SERVER} if several_shards else {}
        self._update = text(update).execution_options(**options)

    async def write(
        self,
        session: ReadSession,
        owner_ids: Iterable[int],
        values: Mapping[str, Any],
        *,
        count: int = 0,
    ) -> list[StoredEvent]:
        """Stores `count` events; gives them in no particular order, or none if it returns nothing.

        The INSERT sees the triggers as they were before the UPDATE.
        """
        if not await is_in_cluster(session):
            stored = await session.execute(
                self._one_statement,
                {**values, **announcing(owner_ids)},
                execution_options={ACROSS_SHARDS: ONE_SERVER},
            )
        else:
            announced = announce(session, owner_ids) if self._announces else take_xid(session)
            given = {**values, "xid": await announced}
            insert = self._with_ids
            if insert is not None:
                given["event_ids"] = await take_ids(session, count)
            elif self._few is not None:
                insert = self._few.of(count)
            stored = await session.execute(self._insert if insert is None else insert, given)
            await self.update_triggers(session, values)
        return [StoredEvent(*row) for row in stored] if self._is_returning else []

    async def update_triggers(self, session: ReadSession, values: Mapping[str, Any]) -> None:
        """Runs the UPDATE alone, for triggers without an event."""
        await session.execute(self._update, dict(values))


class ShardedWriter:
    """A writer for triggers of one shard, and one for those of several shards of one server.

    In the SQL, `{fired}` stands for the shard of an event, and `{moved}` for that of a trigger: the
    parameter `:shard`, which a cluster needs, or the column `shard` of `fired` and of `moved`.
    """

    def __init__(
        self,
        insert: str,
        update: str,
        *,
        returns: Sequence[str] = (),
        announces: bool = True,
        with_ids: str | None = None,
    ) -> None:
        self._one, self._several = (
            EventWriter(
                insert.format(fired=fired, xid="{xid}"),
                update.format(moved=moved),
                returns=returns,
                announces=announces,
                several_shards=several_shards,
                with_ids=None if several_shards else with_ids,
            )
            for fired, moved, several_shards in (
                (_THE_SHARD, _THE_SHARD, False),
                ("fired.shard", "moved.shard", True),
            )
        )

    def on(self, shards: Sequence[int]) -> EventWriter:
        """Returns the writer for triggers of these shards."""
        return self._one if shards.count(shards[0]) == len(shards) else self._several
