"""Finds names in templates that do not exist, also where no sample leads to them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from liquid.static_analysis import Variable

from event_trigger.destinations.templates.jobs import TemplatePart
from event_trigger.destinations.templates.language import LimitedTemplate
from event_trigger.destinations.templates.rendering import Failure, attempt
from event_trigger.destinations.templates.variables import event_variables
from event_trigger.events.trigger_names import NAMELESS, TriggerNames

_SAMPLE_TIME = datetime(2026, 11, 29, 9, tzinfo=UTC)
SAMPLE_EVENT = event_variables(
    event_id=1,
    event_type="scheduled",
    time=_SAMPLE_TIME,
    scheduled_for=_SAMPLE_TIME,
    is_test=False,
    trigger_id=1,
    trigger=TriggerNames("nightly", "Nightly"),
)
# the members of every notice, as notices/wording.py writes them
SAMPLE_NOTICE = {
    "kind": "delivery.exhausted",
    "subject": "destinations/1",
    "name": "billing",
    "project_id": 1,
    "project_name": "Operations",
    "count": 1,
    "since": "2026-11-30T09:00:00Z",
    "message": "1 delivery to the destination billing failed for good, the last with timeout.",
    "details": {
        "delivery_id": 1,
        "error": "timeout",
        "expires_at": None,
        "failures": None,
        "first_at": None,
        "last_at": None,
        "reason": None,
        "status_code": None,
        "subjects": [],
    },
}
SAMPLE_NOTICE_EVENT = event_variables(
    event_id=1,
    event_type="notice.delivery.exhausted",
    time=_SAMPLE_TIME,
    scheduled_for=None,
    is_test=False,
    trigger_id=None,
    trigger=NAMELESS,
)
_ENCODED = "leave out url_encode: values in a URL are percent-encoded anyway."
_NO_FILTER = (
    "there is no such filter. Write one of Liquid's, or `json`, which writes a value as JSON."
)
_ROOTS = ("event", "data", "notice")
_SAMPLES: Mapping[str, object] = {"event": SAMPLE_EVENT, "notice": SAMPLE_NOTICE}
_KNOWN = (
    "Templates know `data` (the payload), and `event` with id, type, time, scheduled_for, is_test,"
    " trigger.id, trigger.key and trigger.name. Of a notice they also know `notice` with kind,"
    " subject, name, project_id, project_name, count, since, message and details; else it is null."
)


def check_names(template: LimitedTemplate, source: str, part: TemplatePart) -> None:
    """Raises Failure for a filter, a variable or a member of `event` that does not exist."""
    for index, reason in attempt(part, lambda: list(_faults(template))):
        line, column = source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index)
        raise Failure(part, f"Line {line}, column {column}: {reason}")


def _faults(template: LimitedTemplate) -> Iterator[tuple[int, str]]:
    analysis = template.analyze()
    for name, spans in analysis.filters.items():
        if name not in template.env.filters:
            yield spans[0].index, _ENCODED if name == "url_encode" else _NO_FILTER
    for name, variables in analysis.globals.items():
        if name not in _ROOTS:
            yield variables[0].span.index, f"there is no such variable. {_KNOWN}"
    for root, sample in _SAMPLES.items():
        for variable in analysis.globals.get(root, ()):
            if not _is_member(variable, sample):
                yield variable.span.index, f"there is no such member of `{root}`. {_KNOWN}"


def _is_member(variable: Variable, sample: object) -> bool:
    """Whether a path leads to a member of the sample; names in variables are not known yet."""
    value = sample
    for segment in variable.segments[1:]:
        if isinstance(segment, list) or isinstance(value, list):
            return True
        if not isinstance(value, Mapping) or segment not in value:
            return False
        value = value[segment]
    return True
