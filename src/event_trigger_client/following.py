"""Keeps the place in a stream, so that it goes on after a break."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from event_trigger_client.answers import Change, strange
from event_trigger_client.errors import Problem, Unreachable
from event_trigger_client.messages import Message
from event_trigger_client.retrying import backoff

SILENCE = 40.0  # seconds; an idle stream has a comment every 15 s


class Following:
    """One stream, over all of its connections."""

    def __init__(self, topics: Sequence[str], filters: Mapping[str, Any], retries: int) -> None:
        self._retries = retries  # of the first connection; later ones are repeated for ever
        self.position = 0
        self.is_over = False
        self.wait = 0.0
        self.params = {**filters, "topics": ",".join(topics)}
        self._others = [one for one in topics if one != "events"]
        self._until = _end_of(filters.get("until"))
        self._is_last = False  # it was opened after `until`
        self._was_open = False
        self._heard = 0  # messages and comments of this connection
        self._failures = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Last-Event-ID": str(self.position)}

    def opened(self, response: httpx.Response) -> Iterator[Change]:
        """Begins a connection; yields what the break before it may have cost."""
        if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise strange(response)
        date = response.headers.get("Date")
        now = parsedate_to_datetime(date) if date else datetime.now(timezone.utc)
        self._is_last = self._until is not None and now >= self._until
        self._heard = 0
        if self._was_open and self._others:
            yield Change("missed", {"topics": self._others})
        self._was_open = True

    def take(self, message: Message) -> None:
        self._heard += 1
        if self._heard > 1:  # the first one is a comment, with which each connection begins
            self._failures = 0
        if message.id:
            self.position = int(message.id)

    def closed(self) -> None:
        """Ends a connection that the service has ended."""
        self.is_over = self._is_last
        self._fail(None)

    def failed(self, error: Unreachable | Problem) -> None:
        """Ends a connection that broke; raises the error if there has never been one."""
        self._fail(error.retry_after if isinstance(error, Problem) else None)
        if not self._was_open and self._failures > self._retries:
            raise error

    def _fail(self, asked: float | None) -> None:
        self._failures += 1
        self.wait = max(asked or 0.0, backoff(self._failures))


def _end_of(until: Any) -> datetime | None:
    """Reads when a stream ends, to the next whole second, as the header `Date` has it.

    The service itself refuses what cannot be read here.
    """
    text = until.isoformat() if isinstance(until, datetime) else str(until or "")
    whole = re.sub(r"[.,]\d+", "", text.upper()).replace("Z", "+00:00")
    try:
        at = datetime.fromisoformat(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", whole))
    except ValueError:
        return None
    return at + timedelta(seconds=1)
