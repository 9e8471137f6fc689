"""Reads the head of an HTTP answer from its bytes: a status line that was read is the answer."""

import re

_LONGEST = 32 * 1024  # bytes of an answer that are kept, with the beginning of its body
_BEGINNING = b"HTTP/"
_STATUS_LINE = re.compile(rb"[\r\n]*HTTP/[0-9](?:\.[0-9])?[ \t]+([0-9]{3})(?=[ \t\r\n])")
_ANY_LINE = re.compile(rb"[\r\n]*[^\r\n]+[\r\n]")
_END = re.compile(rb"\r?\n\r?\n")
_SWITCHING_PROTOCOLS, _NO_CONTENT = 101, 204


class ResponseHead:
    """Takes an answer's bytes as they arrive, and is content with bytes that no parser accepts.

    `status_code` is the final one: informational answers (1xx, RFC 9110, section 15.2) are skipped.
    """

    def __init__(self) -> None:
        self.status_code: int | None = None
        self._received = bytearray()
        self._is_decided = False

    def feed(self, data: bytes) -> bytes | None:
        """Gives what a parser may have: all from the final status line on, and nothing before."""
        if self._is_decided:
            self._received += data[: max(0, _LONGEST - len(self._received))]
            return data
        self._received += data
        self._skip_informational()
        if not self._decide():
            return None
        self._is_decided = True
        from_the_status_line = bytes(self._received)
        del self._received[_LONGEST:]
        return from_the_status_line

    def _skip_informational(self) -> None:
        while (found := _STATUS_LINE.match(self._received)) and _is_informational(int(found[1])):
            if (end := _END.search(self._received, found.end())) is None:
                return
            del self._received[: end.end()]

    def _decide(self) -> bool:
        """Whether the status is known, or will not be: then a parser says what is wrong."""
        if found := _STATUS_LINE.match(self._received):
            code = int(found[1])
            if not _is_informational(code):
                self.status_code = code
                return True
        elif _ANY_LINE.match(self._received) or (self._first and not self.has_begun):
            return True
        return len(self._received) >= _LONGEST

    def settle(self, status_code: int) -> None:
        """Takes a parser's word for the status, where that understood more."""
        self.status_code = self.status_code or status_code

    @property
    def has_begun(self) -> bool:
        """Whether something has arrived that an answer begins with, and not other bytes."""
        first = self._first
        return self.status_code is not None or (bool(first) and _BEGINNING.startswith(first))

    @property
    def _first(self) -> bytes:
        return bytes(self._received[:_LONGEST].lstrip(b"\r\n")[: len(_BEGINNING)])

    @property
    def retry_after(self) -> str | None:
        return self._field(rb"retry-after")

    @property
    def promises_what_cannot_come(self) -> bool:
        """Whether a 204 announces a body: its bytes would be taken for the next answer."""
        if self.status_code != _NO_CONTENT:
            return False
        length = self._field(rb"content-length")
        return length not in (None, "0") or self._field(rb"transfer-encoding") is not None

    @property
    def body(self) -> bytes:
        """Gives the raw bytes after the head, for an answer that could not be parsed."""
        end = _END.search(self._received)
        return b"" if end is None else bytes(self._received[end.end() :])

    def _field(self, name: bytes) -> str | None:
        end = _END.search(self._received)
        head = self._received if end is None else self._received[: end.end()]
        found = re.search(rb"\n" + name + rb"[ \t]*:[ \t]*([^\r\n]*)\r?\n", head, re.IGNORECASE)
        return None if found is None else found[1].decode("latin-1").strip()


def _is_informational(code: int) -> bool:
    return 100 <= code < 200 and code != _SWITCHING_PROTOCOLS
