"""Puts the overview of a project together: reads the counts and finds what needs attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from event_trigger.auth.keys.lifecycle import visible_keys
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.api_keys import ExpiringKey, VisibleKeys, list_expiring
from event_trigger.db.plain_session import ReadSession
from event_trigger.events.window import Retention, oldest_kept
from event_trigger.models import UnfiredReason
from event_trigger.overview.census import CountedState
from event_trigger.overview.repository import (
    Counts,
    Failure,
    Kept,
    Overviews,
)
from event_trigger.overview.verdict import (
    EXPIRES_WITHIN,
    MOST_ITEMS,
    Attention,
    Cause,
    Due,
    late_triggers,
    most_severe,
    old_counts,
)

_MINUTE = timedelta(minutes=1)
_CAUSES = {
    UnfiredReason.FAILED: (
        Cause.INSTANTS_FAILED,
        "could not fire: a trigger was set aside, or the project has no room for events.",
    ),
    UnfiredReason.MISSED: (Cause.INSTANTS_MISSED, "not fired in time, and not caught up on."),
    UnfiredReason.EXPIRED: (
        Cause.INSTANTS_EXPIRED,
        "longer ago than `catch_up_window` when firing was possible again.",
    ),
}


@dataclass(frozen=True, slots=True)
class Glance:
    """All that the overview shows; `counted_at` is None before the first count."""

    now: datetime
    counted_at: datetime | None
    counts: Counts
    due: Due
    next_at: datetime | None
    attention: Sequence[Attention]

    def number(self, state: CountedState) -> int:
        kept = self.counts.states.get(state)
        return 0 if kept is None else kept.number

    @property
    def oldest_pending_at(self) -> datetime | None:
        waiting = (CountedState.PENDING, CountedState.RETRYING)
        since = [kept.since for one in waiting if (kept := self.counts.states.get(one)) is not None]
        return min((one for one in since if one is not None), default=None)


async def take_glance(session: ReadSession, principal: Principal, retention: Retention) -> Glance:
    """Reads the overview of the principal's project, or of all projects."""
    overviews = Overviews(session, principal.project_id)
    now, counted_at = await overviews.read_pass()
    oldest = oldest_kept(retention, now=now)
    hour, day = (
        _first_minute(now - age, oldest) for age in (timedelta(hours=1), timedelta(days=1))
    )
    counts = await overviews.read_counts(hour=hour, day=day)
    due = await overviews.read_due()
    active = counts.states.get(CountedState.ACTIVE)
    next_at = await overviews.next_at(active=0 if active is None else active.number)
    found = [
        *late_triggers(due, now=now),
        *old_counts(counted_at, due, now=now),
        *map(_of_failure, await overviews.list_failures()),
        *_of_unfired(counts.unfired),
        *map(_of_key, await _list_expiring_keys(session, principal)),
    ]
    return Glance(now, counted_at, counts, due, next_at, most_severe(found))


def _first_minute(since: datetime, oldest: datetime) -> datetime:
    """Returns the start of the minute of `since`, or the first whole minute that is kept."""
    first_kept = _floor(oldest - timedelta(microseconds=1)) + _MINUTE
    return max(_floor(since), first_kept)


def _floor(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


async def _list_expiring_keys(session: ReadSession, principal: Principal) -> list[ExpiringKey]:
    """Lists the keys that the caller may list; for a key, itself."""
    visible = visible_keys(principal)
    if principal.key_id is not None:
        visible = VisibleKeys(None, None, None, key_id=principal.key_id)
    return await list_expiring(session, visible, within=EXPIRES_WITHIN, limit=MOST_ITEMS)


def _of_failure(one: Failure) -> Attention:
    return Attention(one.cause, one.id, one.name, one.since, one.number, _detail_of(one))


def _detail_of(one: Failure) -> str:
    waiting = f"deliveries that wait for it: {one.number}."
    match one.cause:
        case Cause.DESTINATION_GONE:
            return f"It answered 410, which disabled it; {waiting} Enable it, or take it away."
        case Cause.HEARTBEAT_SILENT:
            return f"Heartbeats that expect a ping in vain, or whose job has failed: {one.number}."
        case Cause.DESTINATION_OPEN:
            return f"It fails, and is only probed; {waiting}"
        case Cause.DELIVERIES_EXHAUSTED:
            return (
                f"Deliveries that were given up in the last 24 hours: {one.number}."
                f" POST /destinations/{one.id}/redeliver sends them again."
            )
        case _:
            return one.error or ""


def _of_unfired(unfired: Mapping[str, Kept]) -> list[Attention]:
    return [
        Attention(
            cause,
            None,
            None,
            kept.since,
            kept.number,
            f"Instants of the last 24 hours, {kept.number} in all: {words}",
        )
        for reason, (cause, words) in _CAUSES.items()
        if (kept := unfired.get(reason)) is not None
    ]


def _of_key(key: ExpiringKey) -> Attention:
    detail = f"This API key expires on {key.expires_at:%Y-%m-%d at %H:%M} UTC."
    return Attention(Cause.KEY_EXPIRES, key.id, key.name, None, 1, detail)
