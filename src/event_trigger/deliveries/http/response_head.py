"""Reads the head of an HTTP response from its bytes, so that its status survives a parse error."""

import re

_LARGEST_HEAD_BYTES = 32 * 1024  # kept of a response, with the beginning of its body
_HTTP_PREFIX = b"HTTP/"
_STATUS_PATTERN = re.compile(rb"[\r\n]*HTTP/[0-9](?:\.[0-9])?[ \t]+([0-9]{3})(?=[ \t\r\n])")
_ANY_LINE = re.compile(rb"[\r\n]*[^\r\n]+[\r\n]")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_SWITCHING_PROTOCOLS, _NO_CONTENT = 101, 204
_FIELDS = {  # by the names that are looked for
    name: re.compile(rb"\n" + name + rb"[ \t]*:[ \t]*([^\r\n]*)\r?\n", re.IGNORECASE)
    for name in (b"retry-after", b"location", b"content-length", b"transfer-encoding")
}


class ResponseHead:
    """Takes a response's bytes as they arrive, also those that no parser accepts.

    `status_code` is the final status: informational responses (1xx, RFC 9110, section 15.2) are
    skipped.
    """

    def __init__(self) -> None:
        self.status_code: int | None = None
        self._received = bytearray()
        self._was_informed = False
        self._is_decided = False

    def feed(self, data: bytes) -> bytes | None:
        """Returns the bytes for the parser: those from the final status line on, or None."""
        if self._is_decided:
            self._received += data[: max(0, _LARGEST_HEAD_BYTES - len(self._received))]
            return data
        self._received += data
        self._skip_informational()
        if not self._decide():
            return None
        self._is_decided = True
        for_parser = bytes(self._received)
        del self._received[_LARGEST_HEAD_BYTES:]
        return for_parser

    def _skip_informational(self) -> None:
        while (found := _STATUS_PATTERN.match(self._received)) and _is_informational(int(found[1])):
            if (end := _HEAD_END.search(self._received, found.end())) is None:
                return
            del self._received[: end.end()]
            self._was_informed = True

    def _decide(self) -> bool:
        """Whether the status is known, or never will be: then the parser names the error."""
        if found := _STATUS_PATTERN.match(self._received):
            code = int(found[1])
            if not _is_informational(code):
                self.status_code = code
                return True
        elif _ANY_LINE.match(self._received) or (self._first and not self._begins_as_http):
            return True
        return len(self._received) >= _LARGEST_HEAD_BYTES

    @property
    def has_begun(self) -> bool:
        """Whether bytes have arrived that begin a response, also an informational one."""
        return self.status_code is not None or self._was_informed or self._begins_as_http

    @property
    def _begins_as_http(self) -> bool:
        first = self._first
        return bool(first) and _HTTP_PREFIX.startswith(first)

    @property
    def _first(self) -> bytes:
        return bytes(self._received[:_LARGEST_HEAD_BYTES].lstrip(b"\r\n")[: len(_HTTP_PREFIX)])

    @property
    def retry_after(self) -> str | None:
        return self._field(rb"retry-after")

    @property
    def location(self) -> str | None:
        return self._field(rb"location")

    @property
    def announces_forbidden_body(self) -> bool:
        """Whether a 204 announces a body: its bytes would be read as the next response."""
        if self.status_code != _NO_CONTENT:
            return False
        length = self._field(rb"content-length")
        return length not in (None, "0") or self._field(rb"transfer-encoding") is not None

    @property
    def body(self) -> bytes:
        """Returns the raw bytes after the head, for a response that could not be parsed."""
        end = _HEAD_END.search(self._received)
        return b"" if end is None else bytes(self._received[end.end() :])

    def _field(self, name: bytes) -> str | None:
        end = _HEAD_END.search(self._received)
        head = self._received if end is None else self._received[: end.end()]
        found = _FIELDS[name].search(head)
        return None if found is None else found[1].decode("latin-1").strip()


def _is_informational(code: int) -> bool:
    return 100 <= code < 200 and code != _SWITCHING_PROTOCOLS
