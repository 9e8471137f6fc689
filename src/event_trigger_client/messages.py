"""Reads server-sent events, and lines, from pieces of bytes.

httpx's own lines also end at characters such as U+2028, which JSON may have inside a text.
"""

from typing import NamedTuple


class Message(NamedTuple):
    """One message: `kind` is empty for an event; `data` is empty for a comment."""

    kind: str
    id: str
    data: str


class Lines:
    """Joins pieces of bytes, and cuts them at line feeds only."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [line.removesuffix(b"\r").decode() for line in lines]

    def end(self) -> list[str]:
        """Gives the last line, if nothing ended it."""
        return [self._rest.decode()] if self._rest else []


class Messages:
    """Reads messages; one that has not ended is none."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._fields: dict[str, str] = {}

    def feed(self, piece: bytes) -> list[Message]:
        found = []
        for line in self._lines.feed(piece):
            if line:
                self._take(line)
            elif self._fields:
                fields, self._fields = self._fields, {}
                found.append(
                    Message(fields.get("event", ""), fields.get("id", ""), fields.get("data", ""))
                )
        return found

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in self._fields:
            value = f"{self._fields['data']}\n{value}"
        self._fields[name] = value
