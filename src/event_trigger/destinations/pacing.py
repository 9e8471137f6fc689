"""How much a destination is sent at once: its limits, its breaker, its rate; all arithmetic."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import floor

OPENS_AFTER = 5  # failures in a row
PROBES_EVERY = timedelta(seconds=1)
_FIRST_WINDOW = 2


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class Breaker:
    """Closed while `window` is None; open while the newest attempt has failed, one at a time.

    Once a probe has been answered, the window doubles with each success until it is as wide as the
    destination allows. `failures` are those in a row.
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
        return self == Breaker()

    def succeeded(self, *, widest: int) -> "Breaker":
        if self.window is None:
            return Breaker()
        window = _FIRST_WINDOW if self.failures else self.window * 2
        return Breaker() if window >= widest else Breaker(window=window)

    def failed(self, *, now: datetime) -> "Breaker":
        failures = self.failures + 1
        if self.window is None and failures < OPENS_AFTER:
            return replace(self, failures=failures)
        return Breaker(failures, window=1, probe_at=now + PROBES_EVERY)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: a second's worth of sending may be saved up, and one at least."""

    rate: float
    tokens: float
    at: datetime | None

    def filled(self, *, now: datetime) -> "Bucket":
        most = max(1.0, self.rate)
        if self.at is None:
            return Bucket(self.rate, most, now)
        earned = max(0.0, (now - self.at).total_seconds()) * self.rate
        return Bucket(self.rate, min(most, self.tokens + earned), now)

    def taken(self, count: int) -> "Bucket":
        return replace(self, tokens=self.tokens - count)

    @property
    def seconds_until_next(self) -> float:
        return max(0.0, (1 - self.tokens) / self.rate)


def room(
    breaker: Breaker, bucket: Bucket | None, *, widest: int, in_flight: int, now: datetime
) -> int:
    """How many more may be sent now; `bucket` is full as of now, or None without a rate limit."""
    is_open = breaker.state is BreakerState.OPEN
    if is_open and breaker.probe_at is not None and now < breaker.probe_at:
        return 0
    limit = widest if breaker.window is None else min(widest, breaker.window)
    free = max(0, limit - in_flight)
    return free if bucket is None else min(free, max(0, floor(bucket.tokens)))
