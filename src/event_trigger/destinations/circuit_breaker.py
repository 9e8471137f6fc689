"""How much a destination is sent at once: its limits, its breaker, its rate; all arithmetic."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import floor
from typing import assert_never

from event_trigger.destinations.token_bucket import TokenBucket

OPENS_AFTER = 5  # failures in a row
PROBES_EVERY = timedelta(seconds=1)
_FIRST_WINDOW = 2
_TOO_MANY_REQUESTS = 429
_ABOUT_THE_DESTINATION = frozenset({408, 425})


class Verdict(StrEnum):
    """What an attempt says of a destination, which may be well when a delivery has failed."""

    ALIVE = "alive"
    BUSY = "busy"
    FAILING = "failing"


def judge(status_code: int | None) -> Verdict:
    """Judges by the status that was answered; None is no answer.

    408, 425 and 5xx are about the destination, 429 asks for less; what else is answered, also a
    redirect or another 4xx, is about the event, and shows that the destination works.
    """
    if status_code is None or status_code in _ABOUT_THE_DESTINATION or status_code >= 500:
        return Verdict.FAILING
    return Verdict.BUSY if status_code == _TOO_MANY_REQUESTS else Verdict.ALIVE


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Closed while `window` is None; open while the newest attempt has failed, one at a time.

    Once a probe has been answered, the window doubles with each success until it is as wide as the
    destination allows; a destination that is busy begins with one at a time. `failures` are those
    in a row.
    """

    failures: int = 0
    window: int | None = None
    probe_at: datetime | None = None

    @property
    def state(self) -> BreakerState:
        if self.window is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.failures else BreakerState.RECOVERING

    @property
    def is_at_rest(self) -> bool:
        return self == CircuitBreaker()

    def told(self, verdict: Verdict, *, widest: int, now: datetime) -> "CircuitBreaker":
        match verdict:
            case Verdict.ALIVE:
                return self.succeeded(widest=widest)
            case Verdict.BUSY:
                return CircuitBreaker(window=1, probe_at=now + PROBES_EVERY)
            case Verdict.FAILING:
                return self.failed(now=now)
        assert_never(verdict)

    def succeeded(self, *, widest: int) -> "CircuitBreaker":
        if self.window is None:
            return CircuitBreaker()
        window = _FIRST_WINDOW if self.failures else self.window * 2
        return CircuitBreaker() if window >= widest else CircuitBreaker(window=window)

    def failed(self, *, now: datetime) -> "CircuitBreaker":
        failures = self.failures + 1
        if self.window is None and failures < OPENS_AFTER:
            return replace(self, failures=failures)
        return CircuitBreaker(failures, window=1, probe_at=now + PROBES_EVERY)


def room(
    breaker: CircuitBreaker,
    bucket: TokenBucket | None,
    *,
    widest: int,
    in_flight: int,
    held_until: datetime | None,
    now: datetime,
) -> int:
    """How many more may be sent now; `bucket` is full as of now, or None without a rate limit.

    While a destination is held, not even a probe may be.
    """
    if held_until is not None and now < held_until:
        return 0
    if breaker.probe_at is not None and now < breaker.probe_at:
        return 0
    limit = widest if breaker.window is None else min(widest, breaker.window)
    free = max(0, limit - in_flight)
    return free if bucket is None else min(free, max(0, floor(bucket.tokens)))
