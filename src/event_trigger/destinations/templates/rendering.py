"""Renders one job; a template that fails is a value, which says in words why and where."""

import inspect
import json
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from liquid import Environment
from liquid.exceptions import (
    BlockNestingError,
    LiquidError,
    LoopIterationLimitError,
    OutputStreamLimitError,
    UndefinedError,
)

from event_trigger.destinations.templates.jobs import (
    Rendered,
    RenderJob,
    TemplateFailed,
    TemplatePart,
    is_json,
    is_notice,
    is_template,
)
from event_trigger.destinations.templates.language import (
    MOST_NESTED_BLOCKS,
    MOST_ROUNDS,
    LimitedTemplate,
    template_language,
    url_language,
)
from event_trigger.destinations.urls import DotSegment, UrlRefused, parse_target

_END_TAGS = (
    "End each block with its own tag, such as {% endif %} for {% if %}, and {% endfor %} for"
    " {% for %}"
)
_ADVICE = (
    (
        re.compile(r"unexpected tag"),
        f"Write a tag that is known here, such as assign, case, for, if or unless. {_END_TAGS}",
    ),
    (re.compile(r"expected tag|never closed", re.IGNORECASE), _END_TAGS),
    (re.compile(r"found end of file"), "Close a value with }} and a tag with %}"),
    (
        re.compile(r"missing expression"),
        "Write what the tag is about, as in {% if data.ok %} or {% assign name = data.name %}",
    ),
    (
        re.compile(r"path segment"),
        "Write the members of a value as in data.items[0].name, or data['a name'] in quotes",
    ),
    (
        re.compile(r"unexpected '|expected end of expression"),
        "Texts stand in quotes; conditions are joined by and, or, and compared by ==, !=, <, >,"
        " contains",
    ),
)
_VALUE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_EMPTY_SEGMENT = re.compile(r"/(?=/|\Z)")
_MOST_CACHED = 256 * 1024  # characters of templates; parsed, they take a hundred times as much
_LONGEST_MESSAGE = 300  # characters
_QUOTED = re.compile(r"'([^']*)'")
_WORD = re.compile(r"\w")
_TYPES = frozenset({"str", "int", "float", "bool", "list", "dict", "NoneType"})
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_MESSAGES = (
    (OutputStreamLimitError, "the result is larger than 1 MiB"),
    (LoopIterationLimitError, f"its loops take more than {MOST_ROUNDS:,} rounds"),
    (BlockNestingError, f"its blocks are nested deeper than {MOST_NESTED_BLOCKS}"),
)
T = TypeVar("T")


def advice_on(message: str) -> str | None:
    """Returns a sentence without its full stop, or None if the message says it already."""
    return next((advice for words, advice in _ADVICE if words.search(message)), None)


def arguments_of(name: str, function: Callable[..., object]) -> str:
    """Says how many arguments a filter takes, beside the value before it."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    _, *taken = [
        one for one in inspect.signature(function).parameters.values() if one.kind in positional
    ]
    fewest = sum(one.default is inspect.Parameter.empty for one in taken)
    if not taken:
        return f"{name} takes no argument"
    many = str(fewest) if fewest == len(taken) else f"{fewest} to {len(taken)}"
    return f"{name} takes {many} argument{'' if many == '1' else 's'} after a colon"


def check_url_template(url: str) -> None:
    """Raises UrlRefused for a template whose results would be no URLs, or have other origins."""
    if "{%" in url:
        raise UrlRefused("Write values as {{ … }} only: a URL has no tags.")
    parse_target(url)


def check_rendered_url(template: str, url: str) -> None:
    """Raises UrlRefused for a URL that the sender would refuse, or that lost a part of its path.

    Without a part, a request could mean something else: all items, and not one of them.
    """
    try:
        parse_target(url)
    except DotSegment:
        raise UrlRefused(
            "A value in the path is . or .., or has such a part between slashes. Send another"
            " value, or write it into the query."
        ) from None
    if _count_empty_segments(url) > _count_empty_segments(_VALUE.sub("1", template)):
        raise UrlRefused("A value in the path is empty.")


def _count_empty_segments(url: str) -> int:
    path = url.partition("?")[0].partition("://")[2]
    return len(_EMPTY_SEGMENT.findall(path))


class Failure(Exception):
    """A part of a job that fails, and the reason for the user."""

    def __init__(self, part: TemplatePart, reason: str) -> None:
        super().__init__(reason)
        self.outcome = TemplateFailed(reason, part)


class ParsedTemplates:
    """Keeps parsed templates, up to a size."""

    def __init__(self, language: Environment, part: TemplatePart) -> None:
        self._language, self._part = language, part
        self._parsed: OrderedDict[str, LimitedTemplate] = OrderedDict()
        self._size = 0

    def get(self, source: str) -> LimitedTemplate:
        """Returns a template, parsed; raises Failure."""
        parsed = self._parsed.get(source)
        if parsed is None:
            parsed = attempt(self._part, lambda: self._parse(source))
            self._size += len(source)
        self._parsed[source] = parsed
        self._parsed.move_to_end(source)
        while self._size > _MOST_CACHED:
            self._size -= len(self._parsed.popitem(last=False)[0])
        return parsed

    def _parse(self, source: str) -> LimitedTemplate:
        parsed = self._language.from_string(source)
        assert isinstance(parsed, LimitedTemplate)
        return parsed


templates = ParsedTemplates(template_language(), TemplatePart.TEMPLATE)
urls = ParsedTemplates(url_language(), TemplatePart.URL)
subjects = ParsedTemplates(template_language(), TemplatePart.SUBJECT)


def render(job: RenderJob) -> Rendered | TemplateFailed:
    """Renders the URL, the subject and the body of a job."""
    data = None if job.payload is None else json.loads(job.payload)
    names = {"event": job.event, "data": data, "notice": data if is_notice(job.event) else None}
    try:
        url = job.url
        if is_template(url):
            parsed = urls.get(url)
            url = attempt(TemplatePart.URL, lambda: parsed.render_with(names))
            attempt(TemplatePart.URL, lambda: check_rendered_url(job.url, url))
        subject = None
        if job.subject is not None:
            title = subjects.get(job.subject)
            subject = attempt(TemplatePart.SUBJECT, lambda: title.render_with(names))
        if job.template is None:
            return Rendered(url, None, subject)
        template = templates.get(job.template)
        text = attempt(TemplatePart.TEMPLATE, lambda: template.render_with(names))
        return Rendered(url, as_body(text, job.content_type), subject)
    except Failure as failure:
        return failure.outcome


def _refuse_constant(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def as_body(text: str, content_type: str) -> bytes:
    """Encodes a rendered text; raises Failure if it should be JSON and is not."""
    if is_json(content_type):
        try:
            _decode(text)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno} of the result"
            raise Failure(
                TemplatePart.TEMPLATE,
                f"The result is not JSON: {error.msg}, {place}. Write texts as"
                " {{ … | json }}, without quotes around it, or set another content_type.",
            ) from None
        except (ValueError, RecursionError):
            raise Failure(TemplatePart.TEMPLATE, "The result is not JSON.") from None
    return attempt(TemplatePart.TEMPLATE, text.encode)


def attempt(part: TemplatePart, work: Callable[[], T]) -> T:
    """Returns what `work` returns; raises Failure for any error, since they all are the job's."""
    try:
        return work()
    except LiquidError as error:
        raise Failure(part, describe(error)) from None
    except UrlRefused as refused:
        raise Failure(part, str(refused)) from None
    except MemoryError:
        raise Failure(
            part, "It needs too much memory. Use shorter texts, or fewer of them."
        ) from None
    except RecursionError:
        raise Failure(part, "It is nested too deeply. Use fewer blocks inside of others.") from None
    except Exception:  # filters meet values that their authors did not think of
        raise Failure(
            part,
            (
                "A filter or a tag cannot take the value that it is given. Test the value with"
                " {% if %} first, or write another filter."
            ),
        ) from None


def describe(error: LiquidError) -> str:
    """Says what is wrong and where, on one line, without words of the template or the event."""
    said = _message_of(error)
    message = _CONTROLS.sub(" ", _QUOTED.sub(_without_words, said))[:_LONGEST_MESSAGE]
    place, advice = _place_of(error), advice_on(said)
    reason = f"{place}: {message}." if place else f"{message[:1].upper()}{message[1:]}."
    return reason if advice is None else f"{reason} {advice}."


def _without_words(quoted: re.Match[str]) -> str:
    text = quoted[1]
    return "…" if _WORD.search(text) and text not in _TYPES else quoted[0]


def _message_of(error: LiquidError) -> str:
    if isinstance(error.__cause__, TypeError):
        return "the filter takes other values, or other arguments"
    if isinstance(error.__cause__, RecursionError):
        return "it is nested too deeply"
    for kind, message in _MESSAGES:
        if isinstance(error, kind):
            return message
    if isinstance(error, UndefinedError):
        return 'there is no such value; {{ … | default: "" }} would write a text instead'
    return str(error.message)


def _place_of(error: LiquidError) -> str:
    try:
        context = error.context()
    except ValueError:  # it is after the last character
        context = None
    return "" if context is None else f"Line {context[0]}, column {context[1] + 1}"
