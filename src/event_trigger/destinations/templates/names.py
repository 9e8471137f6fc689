"""Finds names in templates that do not exist, also where no sample leads to them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from liquid.static_analysis import Variable

from event_trigger.destinations.templates.jobs import TemplatePart
from event_trigger.destinations.templates.language import LimitedTemplate
from event_trigger.destinations.templates.rendering import Failure, attempt
from event_trigger.destinations.templates.variables import event_variables
from event_trigger.events.trigger_names import TriggerNames

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
_ENCODED = "leave out url_encode: values in a URL are percent-encoded anyway."
_NO_FILTER = (
    "there is no such filter. Write one of Liquid's, or `json`, which writes a value as JSON."
)
_ROOTS = ("event", "data")
_KNOWN = (
    "Templates know `data` (the payload), and `event` with id, type, time, scheduled_for, is_test,"
    " trigger.id, trigger.key and trigger.name."
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
    for variable in analysis.globals.get("event", ()):
        if not _is_member(variable):
            yield variable.span.index, f"there is no such member of `event`. {_KNOWN}"


def _is_member(variable: Variable) -> bool:
    """Whether a path leads to a member of the sample; names in variables are not known yet."""
    value: object = SAMPLE_EVENT
    for segment in variable.segments[1:]:
        if isinstance(segment, list):
            return True
        if not isinstance(value, Mapping) or segment not in value:
            return False
        value = value[segment]
    return True
