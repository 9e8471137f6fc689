"""Shows what heartbeats are now, and describes them in words."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from event_trigger.models import Trigger, TriggerStatus
from event_trigger.triggers.schedule.describe import describe
from event_trigger.triggers.schedule.heartbeat import Heartbeat, HeartbeatStatus
from event_trigger.triggers.schedule.pings import HeartbeatState
from event_trigger.triggers.schedule.words.language import duration, length, lowered
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.stored_plans import readable_heartbeat


def shown_heartbeat(
    trigger: Trigger | TriggerRow, details: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Returns the fields of a heartbeat that follow from its row and the database's time.

    The row's `next_fire_at` may be earlier than the deadline: many pings in a row leave it.
    """
    heartbeat = readable_heartbeat(details)
    state = HeartbeatState(
        trigger.anchor_at, trigger.last_ping_at, trigger.run_started_at, trigger.silent_since
    )
    is_active = trigger.status == TriggerStatus.ACTIVE
    expects = is_active and heartbeat is not None and state.is_expecting
    shown = {
        "status": _status(trigger, heartbeat, state, now),
        "last_ping_at": trigger.last_ping_at,
        "expected_at": heartbeat.expected_after(state.base) if expects and heartbeat else None,
        "silent_since": trigger.silent_since,
        "started_at": trigger.run_started_at,
    }
    deadline = state.deadline(heartbeat) if is_active and heartbeat is not None else None
    words = heartbeat_words(details)
    return {"words": words, "next_fire_at": deadline, "heartbeat": shown}


def _status(
    trigger: Trigger | TriggerRow,
    heartbeat: Heartbeat | None,
    state: HeartbeatState,
    now: datetime,
) -> HeartbeatStatus:
    if trigger.status != TriggerStatus.ACTIVE or heartbeat is None:
        return HeartbeatStatus.PAUSED
    return state.status_at(heartbeat, now)


def heartbeat_words(details: Mapping[str, Any]) -> str | None:
    """Describes a heartbeat in a sentence; None if this version cannot read it."""
    heartbeat = readable_heartbeat(details)
    if heartbeat is None:
        return None
    if heartbeat.schedule is None:
        assert heartbeat.every is not None
        when = f"every {duration(heartbeat.every)}"
    else:
        when = lowered(describe(heartbeat.schedule))
    return f"Expects a ping {when}, at most {length(heartbeat.grace)} late"
