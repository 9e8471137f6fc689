"""Makes the answers of stored triggers: adds the schedule in words, and warnings."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from event_trigger.models import OnCompletion, Trigger, TriggerStatus, TriggerType
from event_trigger.triggers.schedule.describe import WHEN_CALLED, describe
from event_trigger.triggers.schedule.plan import readable_plan
from event_trigger.triggers.schemas.responses import (
    ApiTriggerListed,
    ApiTriggerRead,
    ApiTriggerWritten,
    ScheduledTriggerListed,
    ScheduledTriggerRead,
    ScheduledTriggerWritten,
    StoredTrigger,
    TriggerListed,
    TriggerRead,
    TriggerWritten,
)
from event_trigger.web.schemas import JsonObject


def read_trigger(trigger: Trigger, *, hook_url: str | None) -> TriggerRead:
    stored = StoredTrigger.model_validate(trigger).model_dump()
    is_scheduled = trigger.type == TriggerType.SCHEDULED
    kind = ScheduledTriggerRead if is_scheduled else ApiTriggerRead
    return kind(**stored, **_derived(trigger), hook_url=hook_url)


def written_trigger(read: TriggerRead, *, hook_secret: str | None) -> TriggerWritten:
    is_scheduled = read.type == TriggerType.SCHEDULED
    kind = ScheduledTriggerWritten if is_scheduled else ApiTriggerWritten
    return kind(**read.model_dump(), hook_secret=hook_secret)


def words_of(details: JsonObject, *, anchor: datetime) -> str | None:
    """Describes stored details in words; None if this version cannot read them."""
    plan = readable_plan(details, anchor=anchor)
    return None if plan is None else describe(plan.schedule)


def list_trigger(trigger: Trigger, *, hook_url: str | None, summary: bool) -> TriggerListed:
    """Reads a trigger for a list; a summary's payload was not read, so it must not be asked for."""
    stored = {
        name: getattr(trigger, name)
        for name in StoredTrigger.model_fields
        if not summary or name != "payload"
    }
    if summary:
        stored["details"] = {name: one for name, one in trigger.details.items() if name != "schema"}
    is_scheduled = trigger.type == TriggerType.SCHEDULED
    kind = ScheduledTriggerListed if is_scheduled else ApiTriggerListed
    return kind(**stored, **_derived(trigger), hook_url=hook_url)


def _derived(trigger: Trigger) -> dict[str, Any]:
    is_scheduled = trigger.type == TriggerType.SCHEDULED
    words = words_of(trigger.details, anchor=trigger.anchor_at) if is_scheduled else WHEN_CALLED
    return {"words": words, "warnings": [*_warnings_of(trigger)]}


def _warnings_of(trigger: Trigger) -> Iterator[str]:
    if trigger.status == TriggerStatus.COMPLETED:
        yield "This trigger never fires by itself: its schedule has no instant left."
        if trigger.on_completion == OnCompletion.DELETE:
            yield "It is deleted within seconds, because on_completion is delete."
    if trigger.loop_refused_at is not None:
        at = trigger.loop_refused_at.astimezone(UTC).isoformat(timespec="seconds")
        yield (
            f"A call was refused at {at.replace('+00:00', 'Z')} because of a loop: it came after a"
            " chain of ten deliveries, so this trigger's events come back to it. Check where its"
            " destinations lead. This warning ends with the next change of the trigger."
        )
