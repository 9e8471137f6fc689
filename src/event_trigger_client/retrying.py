"""Decides whether a call is repeated, and when."""

import random
from dataclasses import dataclass

import httpx

from event_trigger_client.errors import StillRunning, Unreachable, problem_in, seconds_of

RETRIES = 5  # which takes some 6 s altogether: a restart of the service
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0  # seconds
LONGEST_ASKED = 60.0  # a service that asks for more has the caller decide
_REFUSED = 429
_BROKEN = frozenset({502, 503, 504})
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_CONDITIONS = ("If-Match", "If-None-Match")
# nothing of the request has left this machine
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass
class Attempts:
    """Counts the attempts of one call, and says how long to wait before the next one.

    A call that may have been done is repeated only if doing it twice is doing it once: GET, HEAD,
    PUT, DELETE, and whatever carries an Idempotency-Key. A PUT or DELETE with a condition is not:
    its own first attempt would fail the condition of the second.
    """

    request: httpx.Request
    retries: int
    made: int = 0
    is_sent: bool = False  # an attempt may have been done

    @property
    def is_repeatable(self) -> bool:
        if "Idempotency-Key" in self.request.headers:
            return True
        method = self.request.method
        is_conditional = any(one in self.request.headers for one in _CONDITIONS)
        return method in _REPEATABLE and (method in {"GET", "HEAD"} or not is_conditional)

    def after_error(self, error: httpx.TransportError) -> float:
        """Gives the seconds until the next attempt; raises Unreachable if there is none."""
        may_repeat = self.is_repeatable or isinstance(error, _UNSENT)
        self.is_sent = self.is_sent or not isinstance(error, _UNSENT)
        self.made += 1
        if may_repeat and self.made <= self.retries:
            return backoff(self.made)
        request = self.request
        raise Unreachable(request.method, request.url, error, is_sent=self.is_sent) from error

    def after(self, response: httpx.Response) -> float | None:
        """Gives the seconds until the next attempt, or None if this answer counts."""
        self.made += 1
        if self.made > self.retries or not self._may_change(response):
            return None
        asked = seconds_of(response.headers.get("Retry-After"))
        if asked is not None and asked > LONGEST_ASKED:
            return None
        self.is_sent = self.is_sent or response.status_code in _BROKEN
        return max(asked or 0.0, backoff(self.made))

    def is_done(self, response: httpx.Response) -> bool:
        """Whether a DELETE that has no answer was done: a later attempt has found nothing."""
        return self.request.method == "DELETE" and self.is_sent and response.status_code == 404

    def _may_change(self, response: httpx.Response) -> bool:
        if response.status_code == _REFUSED:
            return True
        if response.status_code in _BROKEN:
            return self.is_repeatable
        # an attempt whose answer was lost is still running
        return self.is_sent and isinstance(problem_in(response), StillRunning)


def backoff(attempts: int) -> float:
    """Gives the seconds to wait after so many attempts that came to nothing."""
    longest = min(FIRST_WAIT * 2.0 ** min(attempts - 1, 10), LONGEST_WAIT)
    return random.uniform(longest / 2, longest)  # noqa: S311 -- no secret
