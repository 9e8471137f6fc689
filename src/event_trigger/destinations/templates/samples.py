"""Checks the templates of a destination before any event: parses them, and renders samples."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from liquid import BoundTemplate, Token
from liquid.exceptions import (
    FilterArgumentError,
    FilterError,
    FilterItemTypeError,
    FilterValueError,
    LiquidTypeError,
)

from event_trigger.destinations.templates.advice import arguments_of
from event_trigger.destinations.templates.jobs import (
    Accepted,
    CheckJob,
    TemplateFailed,
    TemplatePart,
    is_template,
)
from event_trigger.destinations.templates.language import LimitedContext, LimitedTemplate
from event_trigger.destinations.templates.names import (
    SAMPLE_EVENT,
    SAMPLE_NOTICE,
    SAMPLE_NOTICE_EVENT,
    check_names,
)
from event_trigger.destinations.templates.rendering import (
    Failure,
    as_body,
    attempt,
    subjects,
    templates,
    urls,
)
from event_trigger.destinations.templates.url_templates import check_url_template

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


def check(job: CheckJob, *, before_each: Callable[[], None]) -> Accepted | TemplateFailed:
    """Finds what is wrong for every event. What depends on `data` shows with the events.

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
