"""Keeps the tables by which triggers are listed in step with the triggers.

Each flush of a session writes the rows of its new, renamed and deleted triggers. Statements that
change many triggers at once call `name_destinations` and `forget_triggers`. A job does the rest:
`last_fired_at`, which firing must not write twice, and the rows that a replica of an older version
leaves out.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import event, inspect, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from event_trigger.db.engine import Sessions
from event_trigger.models import SHARDS, Trigger, shard_of
from event_trigger.models.base import LARGEST_ID
from event_trigger.triggers.calendar_links import forget_calendars

TRIGGERS_PER_BATCH = 5_000
_PAUSES = 4  # times as long as a batch, so that the job takes a fifth of a connection
_FOLLOW_LOCK = 0x6576_746C  # "evtl", an advisory lock

_NAME = text("""
    INSERT INTO trigger_sort_keys (shard, trigger_id, owner_id, sort_name)
    SELECT CAST(:shard AS smallint), named.id, :owner_id, lower(named.name)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:names AS text[])) AS named (id, name)
    ORDER BY named.id
    ON CONFLICT (shard, trigger_id) DO UPDATE SET sort_name = excluded.sort_name
""")
_FORGET = text("""
    DELETE FROM trigger_sort_keys WHERE shard = :shard AND trigger_id = ANY (CAST(:ids AS bigint[]))
""")
_PAIRS = """
    SELECT destination_id, trigger_id
    FROM unnest(CAST(:destination_ids AS bigint[]), CAST(:ids AS bigint[]))
        AS pairs (destination_id, trigger_id)
"""
_ADD_DESTINATIONS = text(f"""
    INSERT INTO trigger_destinations (shard, owner_id, destination_id, trigger_id)
    SELECT CAST(:shard AS smallint), :owner_id, pairs.* FROM ({_PAIRS}) AS pairs
    ON CONFLICT DO NOTHING
""")  # noqa: S608
_DELETE_DESTINATIONS = text(f"""
    DELETE FROM trigger_destinations
    WHERE shard = :shard AND owner_id = :owner_id AND (destination_id, trigger_id) IN ({_PAIRS})
""")  # noqa: S608
_FORGET_DESTINATIONS = text("""
    DELETE FROM trigger_destinations
    WHERE shard = :shard AND owner_id = :owner_id AND trigger_id = ANY (CAST(:ids AS bigint[]))
""")
_TRY_LOCK = text("""
    SELECT pg_try_advisory_xact_lock(:lock) AS is_locked,
        EXISTS (SELECT FROM triggers WHERE shard = :shard AND id > :after)
        OR EXISTS (SELECT FROM trigger_sort_keys WHERE shard = :shard AND trigger_id > :after)
        OR EXISTS (SELECT FROM trigger_destinations WHERE shard = :shard AND trigger_id > :after)
            AS has_more
""")
# Rows of both tables are read by the range of the page's ids, and written by their ids: planned as
# joins, each batch read the tables whole. The next run does the rows that a transaction has locked,
# since waiting could be a deadlock, and those whose name has changed since the page was read.
_FOLLOW = text(f"""
    WITH page AS MATERIALIZED (
        SELECT id, owner_id, last_fired_at, destination_ids, lower(name) AS sort_name
        FROM triggers WHERE shard = :shard AND id > :after ORDER BY id LIMIT :limit
    ), bounds AS MATERIALIZED (
        SELECT CASE WHEN count(*) < :limit THEN {LARGEST_ID} ELSE max(id) END AS last FROM page
    ), known AS MATERIALIZED (
        SELECT trigger_id AS id, true AS is_known, sort_name AS known_name,
            last_fired_at AS known_fired_at
        FROM trigger_sort_keys
        WHERE shard = :shard AND trigger_id > :after AND trigger_id <= (SELECT last FROM bounds)
    ), compared AS MATERIALIZED (
        SELECT id, owner_id, is_known, known_name, sort_name, last_fired_at,
            page.owner_id IS NULL AS is_gone
        FROM page FULL JOIN known USING (id)
        WHERE page.owner_id IS NULL OR known.is_known IS NULL
            OR (known_name, known_fired_at) IS DISTINCT FROM (sort_name, last_fired_at)
    ), gone AS (
        DELETE FROM trigger_sort_keys AS keys
        WHERE keys.shard = :shard
            AND keys.trigger_id = ANY (ARRAY(SELECT id FROM compared WHERE is_gone))
    ), updated AS (
        UPDATE trigger_sort_keys AS keys
        SET sort_name = compared.sort_name, last_fired_at = compared.last_fired_at
        FROM compared
        WHERE keys.shard = :shard AND keys.trigger_id = compared.id
            AND keys.trigger_id = ANY (ARRAY(
                SELECT keys.trigger_id FROM trigger_sort_keys AS keys
                JOIN compared ON compared.id = keys.trigger_id
                WHERE keys.shard = :shard AND keys.trigger_id = ANY (ARRAY(
                        SELECT id FROM compared WHERE is_known AND NOT is_gone
                    ))
                    AND keys.sort_name IS NOT DISTINCT FROM known_name
                FOR UPDATE OF keys SKIP LOCKED
            ))
    ), added AS (
        INSERT INTO trigger_sort_keys (shard, trigger_id, owner_id, sort_name, last_fired_at)
        SELECT CAST(:shard AS smallint), id, owner_id, sort_name, last_fired_at
        FROM compared WHERE is_known IS NULL
        ON CONFLICT DO NOTHING
    ), sent AS MATERIALIZED (
        SELECT owner_id, destination_id, trigger_id FROM trigger_destinations
        WHERE shard = :shard AND trigger_id > :after AND trigger_id <= (SELECT last FROM bounds)
    ), wanted AS (
        SELECT owner_id, unnest(destination_ids) AS destination_id, id AS trigger_id FROM page
    ), named AS (
        INSERT INTO trigger_destinations (shard, owner_id, destination_id, trigger_id)
        SELECT CAST(:shard AS smallint), * FROM (TABLE wanted EXCEPT TABLE sent) AS missing
        ON CONFLICT DO NOTHING
    )
    SELECT last FROM bounds
""")  # noqa: S608
# apart from the above: Citus cannot read a query that locks rows beside an INSERT … SELECT
_DELETE_SUPERFLUOUS = text("""
    WITH page AS MATERIALIZED (
        SELECT id, owner_id, destination_ids FROM triggers
        WHERE shard = :shard AND id > :after AND id <= :last
    ), wanted AS MATERIALIZED (
        SELECT owner_id, unnest(destination_ids) AS destination_id, id AS trigger_id FROM page
    ), superfluous AS MATERIALIZED (
        SELECT owner_id, destination_id, trigger_id FROM trigger_destinations AS found
        WHERE shard = :shard AND trigger_id > :after AND trigger_id <= :last
            AND NOT EXISTS (
                SELECT FROM wanted
                WHERE wanted.owner_id = found.owner_id AND wanted.trigger_id = found.trigger_id
                    AND wanted.destination_id = found.destination_id
            )
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM trigger_destinations AS known USING superfluous
    WHERE known.shard = :shard
        AND known.trigger_id = ANY (ARRAY(SELECT trigger_id FROM superfluous))
        AND known.owner_id = superfluous.owner_id
        AND known.trigger_id = superfluous.trigger_id
        AND known.destination_id = superfluous.destination_id
""")


@event.listens_for(Session, "after_flush")
def _follow_flush(session: Session, _: object) -> None:
    """Writes the rows of the triggers of a flush, as `audit/recorder.py` writes its entries."""
    new = [one for one in session.new if isinstance(one, Trigger)]
    changed = [one for one in session.dirty if isinstance(one, Trigger)]
    gone = [one for one in session.deleted if isinstance(one, Trigger)]
    _write_names(session, [*new, *(one for one in changed if _before(one, "name") is not None)])
    rerouted = [(one, before) for one in changed if (before := _before(one, "destinations"))]
    _write_destinations(
        session,
        _DELETE_DESTINATIONS,
        [*((one, one.destinations) for one in gone), *((one, ids[0]) for one, ids in rerouted)],
    )
    _write_destinations(
        session,
        _ADD_DESTINATIONS,
        [(one, one.destinations) for one in (*new, *(one for one, _ in rerouted))],
    )
    for owner_id, group in _by_owner(gone):
        wanted = {"shard": shard_of(owner_id), "ids": [one.id for one in group]}
        session.execute(_FORGET, wanted)


def _before(trigger: Trigger, name: str) -> Sequence[Any] | None:
    """Returns the value before a change, in a sequence of one; None if it was not changed."""
    history = inspect(trigger).attrs[name].history
    return history.deleted or (None,) if history.has_changes() else None


def _by_owner(triggers: Iterable[Trigger]) -> Iterable[tuple[int, list[Trigger]]]:
    """Groups triggers by their owner, each group in the order of ids."""
    ordered = sorted(triggers, key=lambda one: (one.owner_id, one.id))
    return [(owner, [*group]) for owner, group in groupby(ordered, lambda one: one.owner_id)]


def _write_names(session: Session, triggers: Iterable[Trigger]) -> None:
    for owner_id, group in _by_owner(triggers):
        wanted = {
            "shard": shard_of(owner_id),
            "owner_id": owner_id,
            "ids": [one.id for one in group],
            "names": [one.name for one in group],
        }
        session.execute(_NAME, wanted)


def _write_destinations(
    session: Session, statement: Any, named: Iterable[tuple[Trigger, Sequence[int] | None]]
) -> None:
    ids = {one: destinations or () for one, destinations in named}
    for owner_id, group in _by_owner(ids):
        pairs = [(destination_id, one.id) for one in group for destination_id in ids[one]]
        if pairs:
            wanted = {
                "shard": shard_of(owner_id),
                "owner_id": owner_id,
                "destination_ids": [destination_id for destination_id, _ in pairs],
                "ids": [trigger_id for _, trigger_id in pairs],
            }
            session.execute(statement, wanted)


async def name_destinations(
    session: AsyncSession, owner_id: int, ids: Sequence[int], destinations: Sequence[int]
) -> None:
    """Writes the destinations that all of these triggers name from now on, and no others."""
    wanted = {"shard": shard_of(owner_id), "owner_id": owner_id, "ids": ids}
    await session.execute(_FORGET_DESTINATIONS, wanted)
    pairs = [(destination, one) for one in ids for destination in destinations]
    named = {"ids": [one for _, one in pairs], "destination_ids": [one for one, _ in pairs]}
    await session.execute(_ADD_DESTINATIONS, {**wanted, **named})


async def forget_triggers(session: AsyncSession, owner_id: int, ids: Sequence[int]) -> None:
    """Deletes the rows of triggers that a statement has deleted."""
    wanted = {"shard": shard_of(owner_id), "owner_id": owner_id, "ids": ids}
    await session.execute(_FORGET_DESTINATIONS, wanted)
    await session.execute(_FORGET, wanted)
    await forget_calendars(session, owner_id, ids)


class _Batch(NamedTuple):
    """The last trigger's id, or the largest id of all if the shard has no more triggers."""

    last: int
    is_empty: bool


class TriggerFollower:
    """Compares every trigger with its rows, batch by batch, and writes those that differ."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._shard, self._after = 0, 0

    async def follow(self) -> float | None:
        """Follows one batch in a short transaction; returns the seconds to wait before the next.

        Returns None after the last batch, or if another process is at it: any number of processes
        may call this, and one of them works at a time.
        """
        clock = asyncio.get_running_loop().time
        while self._shard < SHARDS:
            began = clock()
            async with self._sessions.begin() as session:
                batch = await _follow_batch(session, self._shard, self._after)
            if batch is None:
                break
            is_last = batch.last == LARGEST_ID
            self._shard, self._after = (
                (self._shard + 1, 0) if is_last else (self._shard, batch.last)
            )
            if not batch.is_empty:
                return _PAUSES * (clock() - began)
        self._shard, self._after = 0, 0
        return None


async def _follow_batch(session: AsyncSession, shard: int, after: int) -> _Batch | None:
    """Follows the triggers behind an id; None if another process is at it."""
    where = {"shard": shard, "after": after}
    found = (await session.execute(_TRY_LOCK, where | {"lock": _FOLLOW_LOCK})).one()
    if not found.is_locked:
        return None
    if not found.has_more:
        return _Batch(LARGEST_ID, is_empty=True)
    last = await session.scalar(_FOLLOW, where | {"limit": TRIGGERS_PER_BATCH})
    await session.execute(_DELETE_SUPERFLUOUS, where | {"last": last})
    return _Batch(last, is_empty=False)
