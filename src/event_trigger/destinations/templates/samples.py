"""Checks the templates of a destination before any event: parses them, and renders samples."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from liquid import BoundTemplate, Token
from liquid.exceptions import (
    FilterArgumentError,
    FilterError,
    FilterItemTypeError,
    FilterValueError,
    LiquidTypeError,
)
from liquid.static_analysis import Variable

from event_trigger.destinations.templates.jobs import (
    Accepted,
    CheckJob,
    TemplateFailed,
    TemplatePart,
    event_variables,
    is_template,
)
from event_trigger.destinations.templates.language import LimitedContext, LimitedTemplate
from event_trigger.destinations.templates.rendering import (
    Failure,
    arguments_of,
    as_body,
    attempt,
    check_url_template,
    subjects,
    templates,
    urls,
)
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
_VALUE_ERRORS = (
    FilterArgumentError,
    FilterError,
    FilterItemTypeError,
    FilterValueError,
    LiquidTypeError,
    ArithmeticError,
    ValueError,
    LookupError,
)
_SAMPLE_NAMES = {"event": SAMPLE_EVENT, "notice": None}
_NOTICE_NAMES = {"event": SAMPLE_NOTICE_EVENT, "data": SAMPLE_NOTICE, "notice": SAMPLE_NOTICE}


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


def check(job: CheckJob, *, before_each: Callable[[], None]) -> Accepted | TemplateFailed:
    """Finds mistakes that fail every event. Those that depend on `data` show with the events.

    Of a destination with notices, a sample of a notice has to render. It may get no event at all,
    so that its templates need not render one.

    Calls `before_each` rendering of a sample, which may take as long as that of a delivery.
    """
    render_samples = _render_notice if job.notices else _render_samples
    try:
        if is_template(job.url):
            attempt(TemplatePart.URL, lambda: check_url_template(job.url))
            url = urls.get(job.url)
            check_names(url, job.url, TemplatePart.URL)
            render_samples(url, TemplatePart.URL, lambda _: None, before_each)
        if job.subject is not None:
            subject = subjects.get(job.subject)
            check_names(subject, job.subject, TemplatePart.SUBJECT)
            render_samples(subject, TemplatePart.SUBJECT, lambda _: None, before_each)
        if job.template is not None:
            template = templates.get(job.template)
            check_names(template, job.template, TemplatePart.TEMPLATE)
            render_samples(
                template,
                TemplatePart.TEMPLATE,
                lambda text: as_body(text, job.content_type),
                before_each,
            )
    except Failure as failure:
        return failure.outcome
    return Accepted()


def _render_samples(
    template: LimitedTemplate,
    part: TemplatePart,
    accept: Callable[[str], object],
    before_each: Callable[[], None],
) -> None:
    """Raises the first Failure if `accept` accepts the result of none of several samples."""
    failures = []
    for sample in (Sample.of(is_equal=False), Sample.of(is_equal=True)):
        before_each()
        try:
            accept(attempt(part, partial(_render_sample, template, sample)))
        except Failure as failure:
            failures.append(failure)
        else:
            return
    raise failures[0]


def _render_notice(
    template: LimitedTemplate,
    part: TemplatePart,
    accept: Callable[[str], object],
    before_each: Callable[[], None],
) -> None:
    """Raises Failure if a notice fails, or `accept` does not accept what comes of it."""
    before_each()
    accept(attempt(part, lambda: template.render_with(_NOTICE_NAMES)))


def _render_sample(template: LimitedTemplate, data: "Sample") -> str:
    return template.render_in(_SampleContext(template, data))


class Sample(int, Sequence["Sample"]):
    """Stands for any value of `data`: the number 1, and a list of itself with each member."""

    is_equal: bool

    @classmethod
    def of(cls, *, is_equal: bool) -> "Sample":
        """Makes one that equals everything, or nothing but itself."""
        sample = cls(1)
        sample.is_equal = is_equal
        return sample

    def __getitem__(self, _: object) -> "Sample":
        return self

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator["Sample"]:
        yield self

    def __contains__(self, _: object) -> bool:
        return self.is_equal

    def __eq__(self, other: object) -> bool:
        return self.is_equal or other is self

    def __hash__(self) -> int:
        return 1


class _SampleContext(LimitedContext):
    """Forgives filters what they say of a value, once `data` was read: it may be another one."""

    __slots__ = ("_has_read", "_sample")

    def __init__(self, template: BoundTemplate, sample: Sample) -> None:
        super().__init__(template, globals={**_SAMPLE_NAMES, "data": sample})
        self._sample = sample
        self._has_read = False

    def get(self, path: list[object], *, token: Token | None, default: object = ...) -> object:
        self._has_read = self._has_read or path[0] == "data"
        return super().get(path, token=token, default=default)

    def apply(
        self, name: str, function: Callable[..., object], /, *args: object, **named: object
    ) -> object:
        try:
            inspect.signature(function).bind(*args, **named)
        except TypeError:
            raise FilterArgumentError(arguments_of(name, function), token=None) from None
        try:
            return super().apply(name, function, *args, **named)
        except _VALUE_ERRORS:
            if not self._has_read:
                raise
            return self._sample
