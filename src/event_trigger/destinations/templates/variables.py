"""Names what templates see of an event: deliveries, previews, tests and samples have the same."""

from collections.abc import Mapping
from datetime import datetime

from event_trigger.events.trigger_names import TriggerNames
from event_trigger.instants import instant_text

_OF_NOTICES = "notice."  # models.NOTICE_TYPE: processes that render load no models


def event_variables(
    *,
    event_id: int,
    event_type: str,
    time: datetime,
    scheduled_for: datetime | None,
    is_test: bool,
    trigger_id: int | None,
    trigger: TriggerNames,
) -> Mapping[str, object]:
    """Returns what templates know as `event`; a notice has no trigger, and its members are null."""
    return {
        "id": event_id,
        "type": event_type,
        "time": instant_text(time),
        "scheduled_for": None if scheduled_for is None else instant_text(scheduled_for),
        "is_test": is_test,
        "trigger": {"id": trigger_id, "key": trigger.key, "name": trigger.name},
    }


def is_notice(event: Mapping[str, object]) -> bool:
    """Whether the variables are those of a notice."""
    return str(event["type"]).startswith(_OF_NOTICES)
