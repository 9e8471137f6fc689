"""Reads the head of an HTTP answer from its bytes: a status line that was read is the answer."""

import re

_LONGEST = 32 * 1024  # bytes of an answer that are kept, with the beginning of its body
_BEGINNING = b"HTTP/"
_STATUS_LINE = re.compile(rb"[\r\n]*HTTP/[0-9](?:\.[0-9])?[ \t]+([0-9]{3})(?=[ \t\r\n])")
_END = re.compile(rb"\r?\n\r?\n")
_SWITCHING_PROTOCOLS, _NO_CONTENT = 101, 204


class AnswerHead:
    """Takes an answer's bytes as they arrive, and is content with bytes that no parser accepts.

    `status_code` is the final one: informational answers (1xx, RFC 9110, section 15.2) are skipped.
    """

    def __init__(self) -> None:
        self.status_code: int | None = None
        self._received = bytearray()

    def feed(self, data: bytes) -> None:
        if self.status_code is not None and len(self._received) >= _LONGEST:
            return
        self._received += data
        while self.status_code is None and (found := _STATUS_LINE.match(self._received)):
            code = int(found[1])
            if code >= 200 or code < 100 or code == _SWITCHING_PROTOCOLS:
                self.status_code = code
            elif (end := _END.search(self._received, found.end())) is not None:
                del self._received[: end.end()]
            else:
                break
        del self._received[_LONGEST:]

    def settle(self, status_code: int) -> None:
        """Takes a parser's word for the status, where that understood more."""
        self.status_code = self.status_code or status_code

    @property
    def has_begun(self) -> bool:
        """Whether something has arrived that an answer begins with, and not other bytes."""
        first = self._received[:_LONGEST].lstrip(b"\r\n")[: len(_BEGINNING)]
        return self.status_code is not None or (bool(first) and _BEGINNING.startswith(first))

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
        """What has come after the head, as it came, of an answer that could not be parsed."""
        end = _END.search(self._received)
        return b"" if end is None else bytes(self._received[end.end() :])

    def _field(self, name: bytes) -> str | None:
        end = _END.search(self._received)
        head = self._received if end is None else self._received[: end.end()]
        found = re.search(rb"\n" + name + rb"[ \t]*:[ \t]*([^\r\n]*)\r?\n", head, re.IGNORECASE)
        return None if found is None else found[1].decode("latin-1").strip()
