"""Limits a rate by a token bucket: arithmetic."""

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A token bucket: a second's worth of sending may be saved up, and one at least."""

    rate: float
    tokens: float
    at: datetime | None

    def filled(self, *, now: datetime) -> "TokenBucket":
        most = max(1.0, self.rate)
        if self.at is None:
            return TokenBucket(self.rate, most, now)
        earned = max(0.0, (now - self.at).total_seconds()) * self.rate
        return TokenBucket(self.rate, min(most, self.tokens + earned), now)

    def taken(self, count: int) -> "TokenBucket":
        return replace(self, tokens=self.tokens - count)

    @property
    def seconds_until_next(self) -> float:
        return max(0.0, (1 - self.tokens) / self.rate)
