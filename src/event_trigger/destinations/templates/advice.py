"""Says what to write instead of a template's mistake, by the words of the language's library."""

import inspect
import re
from collections.abc import Callable

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
