"""Defines the language of templates: Liquid, less all that reaches out, with limits.

The limits count, so that a template fails or succeeds for an event whatever the machine's load is.
The limits of time and memory in `child` are for what counting does not see.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from io import StringIO
from typing import Any, TextIO
from urllib.parse import quote

from liquid import BoundTemplate, Environment, FalsyStrictUndefined, RenderContext, Token
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import (
    LiquidInterrupt,
    LiquidSyntaxError,
    LoopIterationLimitError,
    ResourceLimitError,
    UndefinedError,
)
from liquid.output import LimitedStringIO
from liquid.stringify import to_liquid_string
from liquid.utils import ReadOnlyChainMap

from event_trigger.destinations.templates.filters import (
    MOST_QUADRATIC,
    QUADRATIC,
    register_filters,
    size_of,
    to_json,
)
from event_trigger.destinations.templates.jobs import LARGEST_BODY

MOST_STEPS = 50_000  # nodes, variables, filters and rounds of loops
MOST_CHARACTERS = 8 * 1024 * 1024  # written and handed to filters, also if they are not sent
MOST_ROUNDS = 10_000  # of nested loops, multiplied
MOST_NUMBER_BITS = 256
MOST_NESTED_BLOCKS = 20
_LONGEST_RANGE = 1_000_000  # more than the items of any payload
_TAGS_OFF = ("include", "render", "tablerow")
_URL_TAGS = ("content", "output", "illegal")


class Missing(FalsyStrictUndefined):
    """A variable that is unknown: it may be tested, and given a default, and nothing else."""

    force_liquid_default = True


class LimitedContext(RenderContext):
    """Counts the work of one rendering, and raises ResourceLimitError beyond the limits."""

    __slots__ = ("_characters", "_steps")

    def __init__(self, template: BoundTemplate, *, globals: Mapping[str, object]) -> None:  # noqa: A002
        self._steps = 0
        self._characters = 0
        super().__init__(template, globals=globals)
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)  # without "now"

    @property  # type: ignore[override]  # each node that is rendered asks for it, once
    def disabled_tags(self) -> tuple[str, ...]:
        self.take_steps(1)
        return ()

    @disabled_tags.setter
    def disabled_tags(self, _: list[str]) -> None:
        """Takes the empty list of the base."""

    def take_steps(self, count: int) -> None:
        self._steps += count
        if self._steps > MOST_STEPS:
            raise ResourceLimitError(f"it takes more than {MOST_STEPS:,} steps", token=None)

    def take_characters(self, count: int) -> None:
        self._characters += count
        if self._characters > MOST_CHARACTERS:
            raise ResourceLimitError("it handles more than 8 MiB of text", token=None)

    def get(self, path: list[object], *, token: Token | None, default: object = ...) -> object:
        self.take_steps(1)
        if default is ...:
            return super().get(path, token=token)
        return super().get(path, token=token, default=default)

    def assign(self, key: str, val: Any) -> None:
        self.take_characters(size_of(val))
        super().assign(key, val)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        self.take_steps(length)

    def stopindex(self, key: str, index: int | None = None) -> int:
        """Refuses long ranges here, since a reversed one is made a list before its rounds count."""
        if index is not None and index > _LONGEST_RANGE:
            raise LoopIterationLimitError("", token=None)
        return super().stopindex(key, index)

    def get_buffer(self, _: TextIO | None = None) -> StringIO:
        return _CountedOutput(self)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        return partial(self.apply, name, super().filter(name, token))

    def apply(
        self, name: str, function: Callable[..., object], /, *args: object, **named: object
    ) -> object:
        """Calls a filter, if its arguments and its result are within the limits."""
        given = (*args, *named.values())
        for place, one in enumerate(given):
            if type(one) is Missing and (place or name != "default"):
                raise UndefinedError("", token=one.token)
        self.take_steps(1)
        self.take_characters(sum(map(size_of, given)))
        for one in given:
            _check_number(one)
        if name in QUADRATIC and size_of(args[0]) > MOST_QUADRATIC:
            raise ResourceLimitError(
                f"the filter {name} takes at most {MOST_QUADRATIC:,} items or characters",
                token=None,
            )
        result = function(*args, **named)
        self.take_characters(size_of(result))
        _check_number(result)
        return result


class _CountedOutput(LimitedStringIO):
    """An output that the context counts, and that is no larger than a body may be."""

    def __init__(self, context: LimitedContext) -> None:
        super().__init__(LARGEST_BODY)
        self._context = context

    def write(self, text: str, /) -> int:
        self._context.take_characters(len(text))
        return super().write(text)


def _check_number(value: object) -> None:
    if isinstance(value, int) and value.bit_length() > MOST_NUMBER_BITS:
        raise ResourceLimitError("a number has too many digits", token=None)


class LimitedTemplate(BoundTemplate):
    """A parsed template that is rendered within the limits."""

    context_class = LimitedContext

    def render_with(self, names: Mapping[str, object]) -> str:
        """Renders with these names and no others; raises LiquidError, and errors of filters."""
        return self.render_in(self.context_class(self, globals=names))

    def render_in(self, context: LimitedContext) -> str:
        output = context.get_buffer()
        for node in self.nodes:
            try:
                node.render(context, output)
            except LiquidInterrupt as interrupt:
                raise LiquidSyntaxError(f"unexpected {interrupt}", token=node.token) from None
        return output.getvalue()


class TemplateLanguage(Environment):
    """The language of bodies."""

    template_class = LimitedTemplate
    block_nesting_limit = MOST_NESTED_BLOCKS
    loop_iteration_limit = MOST_ROUNDS
    output_stream_limit = LARGEST_BODY

    def __init__(self) -> None:
        super().__init__(undefined=Missing)

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for name in _TAGS_OFF:
            del self.tags[name]
        self.add_tag(ValueOutput)
        self.add_tag(ValueEcho)
        register_filters(self)


class UrlLanguage(TemplateLanguage):
    """The language of URLs: text, and values whose characters are percent-encoded."""

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.tags = {name: tag for name, tag in self.tags.items() if name in _URL_TAGS}
        self.add_tag(EncodedOutput)
        del self.filters["url_encode"]


class ValueNode(OutputNode):
    """Writes an object as JSON, and all else as Liquid does."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(self.text_of(self.expression.evaluate(context)))

    def text_of(self, value: object) -> str:
        return to_json(value) if isinstance(value, dict) else to_liquid_string(value, False)


class ValueOutput(Output):
    node_class = ValueNode


class ValueEchoNode(ValueNode, EchoNode):
    pass


class ValueEcho(EchoTag):
    node_class = ValueEchoNode


class EncodedNode(ValueNode):
    def text_of(self, value: object) -> str:
        return quote(super().text_of(value), safe="")


class EncodedOutput(Output):
    node_class = EncodedNode


@cache
def template_language() -> TemplateLanguage:
    return TemplateLanguage()


@cache
def url_language() -> UrlLanguage:
    return UrlLanguage()
