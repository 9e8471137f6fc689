"""Limits the rate of requests to a destination with a token bucket."""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """Holds `tokens` as of `at`, refilled with `rate` tokens a second.

    Its capacity is one second's worth, and never less than one token.
    """

    rate: float
    tokens: float
    at: datetime | None

    def refilled(self, *, now: datetime) -> "TokenBucket":
        capacity = max(1.0, self.rate)
        if self.at is None:
            return TokenBucket(self.rate, capacity, now)
        earned = max(0.0, (now - self.at).total_seconds()) * self.rate
        return TokenBucket(self.rate, min(capacity, self.tokens + earned), now)

    def spent(self, count: int) -> "TokenBucket":
        return replace(self, tokens=self.tokens - count)

    @property
    def seconds_until_next(self) -> float:
        return max(0.0, (1 - self.tokens) / self.rate)
