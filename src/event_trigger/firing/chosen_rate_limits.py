"""Makes the rate limits that the operator has set."""

from event_trigger.config import Settings
from event_trigger.firing.rate_limits import RateLimits


def rate_limits_of(settings: Settings) -> RateLimits:
    """Without a limit, the library that counts is not imported: it has many modules."""
    limits = settings.fire_rate_per_key, settings.fire_rate_per_trigger
    if not any((*limits, settings.max_calls_per_minute)):
        return RateLimits()
    from event_trigger.firing.counted_rate_limits import CountedRateLimits  # noqa: PLC0415

    return CountedRateLimits(*limits, settings.max_calls_per_minute)
