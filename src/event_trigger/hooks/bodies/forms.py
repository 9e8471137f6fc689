"""Reads forms: their fields by name, repeated ones as lists, and what is told of files."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from event_trigger.errors import Invalid
from event_trigger.hooks.bodies.characters import decode

MOST_FIELDS = 1_000
MOST_HEAD_BYTES = 64 * 1024  # of all parts of a body: taking them apart takes a millisecond a KiB
_TOO_MANY = f"Send a form of at most {MOST_FIELDS} fields."
_TOO_LONG = f"Send parts whose heads have at most {MOST_HEAD_BYTES} bytes together."
_BAD_MULTIPART = "Send multipart/form-data with a boundary, whose parts have names (RFC 7578)."
# names of a form that was encoded have no blanks, quotes or braces: `df /: 1=2` is none
_FIRST_FIELD = re.compile(r"""[^\s"'{}\[\]<>=&]+=""")
Fields = dict[str, Any]


class UnreadableBody(Invalid):
    slug, title = "unreadable-body", "The body cannot be read"


def is_form(text: str) -> bool:
    """Tells a form from text that was sent with its type, as `curl -d 'backup done'` does."""
    return _FIRST_FIELD.match(text) is not None


def read_urlencoded(text: str, charset: str) -> Fields:
    """Reads the fields of an urlencoded form, escaped in this charset (the standard's is UTF-8).

    Empty ones are left out. Raises UnreadableBody if there are too many.
    """
    if text.count("&") >= MOST_FIELDS:
        raise UnreadableBody.at([], _TOO_MANY)
    pairs = (one.partition("=") for one in text.split("&") if one)
    return _collect(
        (_unescape(name, charset), _unescape(value, charset)) for name, _, value in pairs
    )


def _unescape(text: str, charset: str) -> str:
    text = text.replace("+", " ")
    return decode(unquote_to_bytes(text), charset) if "%" in text else text


def read_multipart(body: bytes, content_type: str) -> Fields:
    """Reads the fields of multipart/form-data, and the name, type and size of each file.

    Raises UnreadableBody for a body that is none, and for too many fields.
    """
    _, options = parse_options_header(content_type)
    parts = _Parts()
    try:
        parser = MultipartParser(options[b"boundary"], parts.callbacks)
        parser.write(body)
    except (FormParserError, KeyError):
        raise UnreadableBody.at([], _BAD_MULTIPART) from None
    if not parts.is_whole:
        raise UnreadableBody.at([], _BAD_MULTIPART)
    return _collect(parts.read)


class _Parts:
    """Collects the parts of one body, as the parser finds them."""

    def __init__(self) -> None:
        self.read: list[tuple[str, Any]] = []
        self.is_whole = False
        self._head_bytes = 0
        self.callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._add_to_name,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_data,
            "on_part_end": self._end,
            "on_end": self._end_body,
        }
        self._begin()

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value, self._data = bytearray(), bytearray(), bytearray()

    def _add_to_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._head_bytes += end - start
        if self._head_bytes > MOST_HEAD_BYTES:
            raise UnreadableBody.at([], _TOO_LONG)

    def _end_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def _end(self) -> None:
        if len(self.read) == MOST_FIELDS:
            raise UnreadableBody.at([], _TOO_MANY)
        disposition = self._headers.get(b"content-disposition", b"").decode("latin-1")
        _, options = parse_options_header(disposition)
        media_type = self._headers.get(b"content-type", b"").decode("latin-1")
        name = decode(options[b"name"], "utf-8")
        if b"filename" not in options:
            self.read.append((name, decode(bytes(self._data), charset_of(media_type))))
            return
        filename = decode(options[b"filename"], "utf-8")
        self.read.append(
            (name, {"name": filename, "type": media_type or None, "size": len(self._data)})
        )

    def _end_body(self) -> None:
        self.is_whole = True


def charset_of(content_type: str) -> str:
    """Reads the charset of a content type; UTF-8 if it names none."""
    _, options = parse_options_header(content_type)
    return options.get(b"charset", b"utf-8").decode("latin-1")


def _collect(pairs: Iterable[tuple[str, Any]]) -> Fields:
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}
