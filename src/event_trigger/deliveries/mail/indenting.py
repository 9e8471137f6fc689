"""Indents JSON text for readers, and leaves its strings and numbers as they were written."""

import re
from collections.abc import Iterator

LARGEST_INDENTED = 16 * 1024  # characters; larger texts stay as they are, since that takes time
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_EMPTY = {"[": "]", "{": "}"}


def indented(text: str) -> str:
    """Indents by two spaces; gives large text back unchanged."""
    return text if len(text) > LARGEST_INDENTED else "".join(_parts(_TOKEN.findall(text)))


def _parts(tokens: list[str]) -> Iterator[str]:
    depth = 0
    for place, one in enumerate(tokens):
        before = tokens[place - 1] if place else ""
        if one in _EMPTY:
            depth += 1
            is_empty = tokens[place + 1 : place + 2] == [_EMPTY[one]]
            yield one if is_empty else one + _line(depth)
        elif one in {"]", "}"}:
            depth -= 1
            yield one if before in _EMPTY else _line(depth) + one
        elif one == ",":
            yield one + _line(depth)
        else:
            yield ": " if one == ":" else one


def _line(depth: int) -> str:
    return "\n" + "  " * depth
