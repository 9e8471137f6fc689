"""Limits how many requests a destination gets at once: circuit breaker, slow start and rate."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import floor
from typing import assert_never

from event_trigger.destinations.token_bucket import TokenBucket

OPENS_AFTER = 5  # failures in a row
PROBES_EVERY = timedelta(seconds=1)
_SLOW_START_WINDOW = 2
_TOO_MANY_REQUESTS = 429
_FAILING_4XX = frozenset({408, 425})


class Verdict(StrEnum):
    """The health of a destination after an attempt. A failed delivery may leave it ALIVE."""

    ALIVE = "alive"
    BUSY = "busy"
    FAILING = "failing"


def verdict_of(status_code: int | None) -> Verdict:
    """Judges a destination by the status of its response; None means that no response came.

    408, 425 and 5xx are failures of the destination, and 429 asks for fewer requests. Every other
    status, also a redirect or another 4xx, concerns the event: the destination works.
    """
    if status_code is None or status_code in _FAILING_4XX or status_code >= 500:
        return Verdict.FAILING
    return Verdict.BUSY if status_code == _TOO_MANY_REQUESTS else Verdict.ALIVE


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Counts `failures` in a row and limits the requests in flight to `window`.

    - Closed: `window` is None, and the destination's own limit applies.
    - Open: the newest attempts failed. One probe at a time is sent, none before `probe_at`.
    - Recovering (half-open, slow start): a probe succeeded. The window doubles with each success
      until the destination's own limit is reached. After a 429 it starts from 1.
    """

    failures: int = 0
    window: int | None = None
    probe_at: datetime | None = None

    @property
    def state(self) -> BreakerState:
        if self.window is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.failures else BreakerState.RECOVERING

    def after(self, verdict: Verdict, *, max_concurrency: int, now: datetime) -> "CircuitBreaker":
        match verdict:
            case Verdict.ALIVE:
                return self.after_success(max_concurrency=max_concurrency)
            case Verdict.BUSY:
                return CircuitBreaker(window=1, probe_at=now + PROBES_EVERY)
            case Verdict.FAILING:
                return self.after_failure(now=now)
        assert_never(verdict)

    def after_success(self, *, max_concurrency: int) -> "CircuitBreaker":
        if self.window is None:
            return CircuitBreaker()
        window = _SLOW_START_WINDOW if self.failures else self.window * 2
        return CircuitBreaker() if window >= max_concurrency else CircuitBreaker(window=window)

    def after_failure(self, *, now: datetime) -> "CircuitBreaker":
        failures = self.failures + 1
        if self.window is None and failures < OPENS_AFTER:
            return replace(self, failures=failures)
        return CircuitBreaker(failures, window=1, probe_at=now + PROBES_EVERY)


def free_slots(
    breaker: CircuitBreaker,
    bucket: TokenBucket | None,
    *,
    max_concurrency: int,
    in_flight: int,
    held_until: datetime | None,
    now: datetime,
) -> int:
    """Counts the requests that may be sent now.

    `bucket` must be refilled as of `now`; None means no rate limit. Before `held_until`
    (`Retry-After`) not even a probe is sent.
    """
    if held_until is not None and now < held_until:
        return 0
    if breaker.probe_at is not None and now < breaker.probe_at:
        return 0
    limit = max_concurrency if breaker.window is None else min(max_concurrency, breaker.window)
    free = max(0, limit - in_flight)
    return free if bucket is None else min(free, max(0, floor(bucket.tokens)))
