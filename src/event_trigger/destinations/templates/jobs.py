"""Declares jobs of rendering, the variables that templates see, and the outcomes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from event_trigger.events.trigger_names import TriggerNames
from event_trigger.instants import instant_text

JSON_MEDIA_TYPE = "application/json"
LARGEST_BODY = 1024 * 1024  # bytes
_JSON_MEDIA_TYPE = re.compile(r"application/([!#$&^_.+\-a-z0-9]+\+)?json", re.ASCII)
_OF_NOTICES = "notice."  # models.NOTICE_TYPE: processes that render load no models


class TemplatePart(StrEnum):
    """The field of a destination that a template is in."""

    URL = "url"
    TEMPLATE = "template"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One request to render: `template` gives its body, and `url` may be a template, too.

    `subject` is the template of a mail's subject. Without a template only the others are rendered.
    `event` is what templates see as `event`, and `payload` is the JSON text of `data`; without one,
    `data` is null. Of a notice, `notice` is the same as `data`, and else null. The result of a
    `content_type` that is JSON must be JSON. Owners take turns.
    """

    template: str | None
    url: str
    content_type: str
    event: Mapping[str, object]
    payload: str | None
    owner_id: int
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered request; `body` is None if the job has no template, and so is `subject`."""

    url: str
    body: bytes | None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateFailed:
    """A template fails for this event, and always will; `reason` tells the user why, and where."""

    reason: str
    part: TemplatePart = TemplatePart.TEMPLATE


@dataclass(frozen=True, slots=True)
class NotRendered:
    """The job had no turn in time, or no process could be started: try it again later."""


@dataclass(frozen=True, slots=True)
class CheckJob:
    """The templates of a destination, checked before any event; `notices` if it hears of any."""

    template: str | None
    url: str
    content_type: str
    owner_id: int
    subject: str | None = None
    notices: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """The templates that were checked are good."""


RenderOutcome = Rendered | TemplateFailed | NotRendered
CheckOutcome = Accepted | TemplateFailed | NotRendered


def is_template(url: str) -> bool:
    """Whether a URL is a template; plain URLs hold no braces."""
    return "{{" in url or "{%" in url


def is_json(content_type: str) -> bool:
    return _JSON_MEDIA_TYPE.fullmatch(content_type.partition(";")[0].strip().lower()) is not None


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
