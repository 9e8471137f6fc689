"""Applies pings to the locked rows of their heartbeats: one change of a row for many pings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text

from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Problem
from event_trigger.events.heartbeat_changes import NewChange, record_changes
from event_trigger.events.source import EventSource
from event_trigger.firing.called_events import NewEvent
from event_trigger.firing.refusals import events_full
from event_trigger.firing.repository import CalledTrigger
from event_trigger.triggers.schedule.heartbeat import Heartbeat, heartbeat_of_stored
from event_trigger.triggers.schedule.pings import HeartbeatState, Ping, after_ping

# the index of deadlines is written only if a deadline moves by more than this; the dispatcher,
# which comes too early then, moves it to the right one
COARSE = timedelta(minutes=1)

_PING = text("""
    UPDATE triggers SET
        anchor_at = pinged.anchor_at, last_ping_at = pinged.last_ping_at,
        run_started_at = pinged.run_started_at, silent_since = pinged.silent_since,
        next_fire_at = CASE
            WHEN triggers.next_fire_at <= pinged.deadline_at
                AND triggers.next_fire_at > pinged.kept_from
            THEN triggers.next_fire_at ELSE pinged.deadline_at END
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:anchors AS timestamptz[]),
        CAST(:last_ping_ats AS timestamptz[]), CAST(:run_started_ats AS timestamptz[]),
        CAST(:silent_sinces AS timestamptz[]), CAST(:deadline_ats AS timestamptz[]),
        CAST(:kept_froms AS timestamptz[])
    ) AS pinged (id, anchor_at, last_ping_at, run_started_at, silent_since, deadline_at, kept_from)
    WHERE triggers.shard = :shard AND triggers.id = pinged.id
""")


@dataclass(frozen=True, slots=True)
class PingAnswer:
    """A ping that was stored; `configured_at` is the last change of its trigger."""

    configured_at: datetime | None


class _Pinged(NamedTuple):
    heartbeat: Heartbeat
    state: HeartbeatState


@dataclass
class PingedHeartbeats:
    """The heartbeats that the calls of one transaction ping, each after the pings so far."""

    _after: dict[OwnedId, _Pinged] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._after)

    def take(
        self,
        key: OwnedId,
        trigger: CalledTrigger,
        ping: Ping,
        source: EventSource | None,
        *,
        hops: int,
    ) -> PingAnswer | NewEvent | Problem:
        """Applies a ping to a locked heartbeat, and gives the event that it makes, if any.

        Gives the problem of a ping whose event has no room, which changes nothing.
        """
        assert trigger.heartbeat is not None
        assert trigger.now is not None
        heartbeat, state = self._after.get(key) or _read(trigger, trigger.heartbeat)
        pinged = after_ping(state, ping, trigger.now)
        if pinged.event is not None and trigger.reached is not None:
            return events_full(trigger.reached)
        self._after[key] = _Pinged(heartbeat, pinged.state)
        if pinged.event is None:
            return PingAnswer(trigger.updated_at)
        return NewEvent(
            key,
            pinged.event.payload_over(trigger.payload),
            is_test=False,
            has_destinations=trigger.has_destinations,
            hops=hops,
            source=source,
            configured_at=trigger.updated_at,
            told=pinged.event,
        )

    async def store(
        self, session: ReadSession, decided: Sequence[tuple[object, int | None]]
    ) -> None:
        """Stores the heartbeats, and the changes that the new events among `decided` tell.

        Each of those has its id beside it.
        """
        for shard in sorted({one.shard for one in self._after}):
            await self._store_in(session, shard)
        changes = [
            NewChange(one.trigger, one.told.state, one.told.reason, None, event_id)
            for one, event_id in decided
            if isinstance(one, NewEvent) and one.told is not None and event_id is not None
        ]
        if changes:
            await record_changes(session, changes)

    async def _store_in(self, session: ReadSession, shard: int) -> None:
        found = [(key.id, *one) for key, one in self._after.items() if key.shard == shard]
        states = [state for _, _, state in found]
        deadlines = [state.deadline(heartbeat) for _, heartbeat, state in found]
        await session.execute(
            _PING,
            {
                "shard": shard,
                "ids": [trigger_id for trigger_id, _, _ in found],
                "anchors": [one.base for one in states],
                "last_ping_ats": [one.last_ping_at for one in states],
                "run_started_ats": [one.run_started_at for one in states],
                "silent_sinces": [one.silent_since for one in states],
                "deadline_ats": deadlines,
                "kept_froms": [None if one is None else one - COARSE for one in deadlines],
            },
        )


def _read(trigger: CalledTrigger, details: str) -> _Pinged:
    state = HeartbeatState(
        trigger.anchor_at, trigger.last_ping_at, trigger.run_started_at, trigger.silent_since
    )
    return _Pinged(heartbeat_of_stored(details), state)
