"""Makes the answers of stored triggers: adds the schedule in words, and warnings."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from event_trigger.instants import instant_text
from event_trigger.models import OnCompletion, ScheduleVersion, Trigger, TriggerStatus, TriggerType
from event_trigger.triggers.schedule.describe import (
    WHEN_CALLED,
    cautions_of,
    cautions_on,
    describe,
    describe_plan,
)
from event_trigger.triggers.schedule.details import Resolved
from event_trigger.triggers.schedule.heartbeat import Heartbeat, HeartbeatStatus, is_heartbeat
from event_trigger.triggers.schedule.pings import HeartbeatState
from event_trigger.triggers.schedule.plan import readable_plan, schedule_part
from event_trigger.triggers.schedule.schedules import InstantRange
from event_trigger.triggers.schedule.words.language import duration, length, lowered
from event_trigger.triggers.schemas.responses import (
    ApiTriggerRead,
    ApiTriggerWritten,
    HeartbeatTriggerRead,
    HeartbeatTriggerWritten,
    ScheduledTriggerRead,
    ScheduledTriggerWritten,
    StoredTrigger,
    TriggerRead,
    TriggerWritten,
)
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.stored_plans import readable_heartbeat, readable_plan_of

_MOST_REMEMBERED = 4_000  # schedules: to describe one takes up to half a millisecond
_LONGEST_REMEMBERED = 2_000  # characters
# to ask the class for a member, for each trigger of a page, takes a twentieth of its time
_SCHEDULED, _COMPLETED = TriggerType.SCHEDULED, TriggerStatus.COMPLETED
_HEARTBEAT = TriggerType.HEARTBEAT
_IN_PAUSE = " fell into the pause"
_WITHOUT_PUBLIC_KEY = (
    "Every call of the hook is refused, because the sender's public key is missing. Write it as"
    " details.hook.secret."
)


class ShownHook(NamedTuple):
    """A trigger's hook as those see it who may fire."""

    url: str
    lacks_public_key: bool


_READ: Mapping[str, Callable[..., TriggerRead]] = {
    TriggerType.SCHEDULED: ScheduledTriggerRead,
    TriggerType.API: ApiTriggerRead,
    TriggerType.HEARTBEAT: HeartbeatTriggerRead,
}
_WRITTEN: Mapping[str, Callable[..., TriggerWritten]] = {
    TriggerType.SCHEDULED: ScheduledTriggerWritten,
    TriggerType.API: ApiTriggerWritten,
    TriggerType.HEARTBEAT: HeartbeatTriggerWritten,
}


def read_trigger(
    trigger: Trigger, *, hook: ShownHook | None, now: datetime | None = None
) -> TriggerRead:
    """Shows a trigger; a heartbeat needs `now`, the database's time."""
    stored = StoredTrigger.model_validate(trigger).model_dump()
    schedule = json.dumps(schedule_part(trigger.details))
    return _READ[trigger.type](**stored | derived_of(trigger, hook, details=schedule, now=now))


def written_trigger(read: TriggerRead, *, hook_secret: str | None) -> TriggerWritten:
    return _WRITTEN[read.type](**read.model_dump(), hook_secret=hook_secret)


def words_of(row: Trigger | ScheduleVersion) -> str | None:
    """Describes a stored schedule in words; None if this version cannot read it."""
    if is_heartbeat(row.details):
        return heartbeat_words(row.details)
    plan = readable_plan_of(row)
    return None if plan is None else describe_plan(plan, row.details)


def derived_of(
    trigger: Trigger | TriggerRow,
    hook: ShownHook | None,
    *,
    details: str,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Returns the fields that are in no column; `details` is the JSON of at least the schedule.

    For a heartbeat, `now` is the database's time, and `next_fire_at` is not the column's.
    """
    url, warnings = None if hook is None else hook.url, [*_warnings_of(trigger)]
    if trigger.type != _SCHEDULED:
        if hook is not None and hook.lacks_public_key:
            warnings.append(_WITHOUT_PUBLIC_KEY)
        if trigger.type == _HEARTBEAT:
            assert now is not None
            shown = shown_heartbeat(trigger, json.loads(details), now)
            return {"hook_url": url, "warnings": warnings, **shown}
        return {"words": WHEN_CALLED, "hook_url": url, "warnings": warnings}
    words, cautions = _told_of(details, trigger.anchor_at, trigger.shift_seconds)
    return {"words": words, "hook_url": url, "warnings": [*warnings, *cautions]}


class _Told(NamedTuple):
    """A schedule in words, and what may be wrong with it."""

    words: str | None
    cautions: Sequence[str] = ()


_Key = tuple[bytes, datetime, int | None]  # the dates of calendars are not in words
_told: OrderedDict[_Key, _Told] = OrderedDict()  # the one that was shown longest ago is first


def _told_of(details: str, anchor: datetime, shift_seconds: int | None) -> _Told:
    """Describes a schedule, or remembers it: both parts follow from the row alone."""
    key = _digest_of(details), anchor, shift_seconds
    told = _told.pop(key, None)
    if told is None:
        told = _tell(schedule_part(json.loads(details)), anchor, shift_seconds)
        if len(told.words or "") + sum(map(len, told.cautions)) > _LONGEST_REMEMBERED:
            return told
    _told[key] = told
    if len(_told) > _MOST_REMEMBERED:
        _told.popitem(last=False)
    return told


def _digest_of(details: str) -> bytes:
    """Stands for details, whose dates would fill the memory as keys."""
    return hashlib.blake2b(details.encode(), digest_size=16).digest()


def _tell(details: dict[str, Any], anchor: datetime, shift_seconds: int | None) -> _Told:
    plan = readable_plan(details, anchor=anchor, resolved=Resolved.of(None, shift_seconds))
    if plan is None:
        return _Told(None)
    return _Told(describe_plan(plan, details), (*cautions_of(plan.schedule), *cautions_on(details)))


def _warnings_of(trigger: Trigger | TriggerRow) -> Iterator[str]:
    if trigger.status == _COMPLETED:
        fires = "no longer fires" if trigger.fire_count else "never fires"
        yield f"This trigger {fires} by itself: its schedule has no instant left."
        if trigger.on_completion == OnCompletion.DELETE:
            yield "It is deleted within seconds, because on_completion is delete."
    if trigger.loop_refused_at is not None:
        at = trigger.loop_refused_at.astimezone(UTC).isoformat(timespec="seconds")
        yield (
            f"A call was refused at {at.replace('+00:00', 'Z')} because of a loop: it came after a"
            " chain of ten deliveries, so this trigger's events come back to it. Check where its"
            " destinations lead. This warning ends with the next change of the trigger."
        )


def pause_warning(in_pause: InstantRange, next_fire_at: datetime | None) -> str:
    """Says which instants a pause has taken from a resumed trigger."""
    first, last = instant_text(in_pause.first), instant_text(in_pause.last)
    if in_pause.count == 1:
        lost = f"One planned instant, {first},{_IN_PAUSE} and does not fire."
    else:
        lost = (
            f"{in_pause.count} planned instants, from {first} to {last},{_IN_PAUSE} and do not"
            " fire."
        )
    return lost if next_fire_at is None else f"{lost} The next one is {instant_text(next_fire_at)}."


def is_pause_warning(text: object) -> bool:
    return isinstance(text, str) and _IN_PAUSE in text


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
