"""Reads the values in headers that a signature needs, and judges the time that was signed."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.refused import NotSigned, RefusalReason
from event_trigger.instants import parse_instant

TOLERANCE = timedelta(minutes=5)
_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)
_MILLISECONDS_FROM = 100_000_000_000  # as seconds, that is the year 5138


@dataclass(frozen=True, slots=True)
class HeaderValue:
    """A value in a header: the text behind `prefix`, in one of the parts between separators."""

    name: str
    prefix: str = ""
    separator: str | None = None

    def read_all(self, request: HookRequest) -> list[str]:
        """Reads the values with the prefix; raises NotSigned if there is no such header."""
        text = request.one(self.name)
        if not text:
            raise NotSigned(RefusalReason.MISSING_HEADER)
        if self.separator is None:
            one = text.strip()
            return [one.removeprefix(self.prefix)] if one.startswith(self.prefix) else []
        stripped = [one.strip() for one in text.split(self.separator)]
        return [one.removeprefix(self.prefix) for one in stripped if one.startswith(self.prefix)]

    def read(self, request: HookRequest) -> str:
        """Reads the one value that there has to be."""
        found = self.read_all(request)
        if len(found) != 1:
            raise NotSigned(RefusalReason.MALFORMED_SIGNATURE)
        return found[0]


def check_time(text: str, *, now: datetime) -> None:
    """Raises NotSigned for a signed time that is more than 5 minutes from now.

    Senders write seconds or milliseconds since 1970, or RFC 3339.
    """
    try:
        at = _time_in(text)
    except (ValueError, OverflowError, OSError):
        raise NotSigned(RefusalReason.MALFORMED_TIMESTAMP) from None
    if abs(now - at) > TOLERANCE:
        raise NotSigned(RefusalReason.TIMESTAMP_TOO_FAR)


def _time_in(text: str) -> datetime:
    if not _DIGITS.fullmatch(text):
        return parse_instant(text)
    number = int(text)
    return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS_FROM else number, UTC)
