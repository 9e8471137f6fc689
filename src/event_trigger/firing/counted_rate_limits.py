"""Counts calls in this process, where the operator has set a limit; it brings the library."""

import time
from math import ceil
from typing import NoReturn

from limits import RateLimitItem, RateLimitItemPerMinute, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from event_trigger.db.shards import OwnedId
from event_trigger.firing.rate_limits import RateLimits, TooManyCalls


class CountedRateLimits(RateLimits):
    """Holds the limits of calls, such as `100/second`; None, or 0 of a project, is no limit.

    Each process counts in its own memory: N of them allow N times as many.
    """

    has_any = True

    def __init__(self, per_key: str | None, per_trigger: str | None, per_project: int) -> None:
        """`per_project` is a number of calls a minute."""
        self._per_key = None if per_key is None else parse(per_key)
        self._per_trigger = None if per_trigger is None else parse(per_trigger)
        self._per_project = RateLimitItemPerMinute(per_project) if per_project else None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check(self, trigger: OwnedId, *, caller: str | None, uncounted: int = 0) -> None:
        limit, name = self._per_key, caller
        if limit is not None and name is not None and not await self._limiter.hit(limit, name):
            await self._refuse(limit, name, "A key or user", "EVENT_TRIGGER_FIRE_RATE_PER_KEY")
        limit, name = self._per_trigger, _trigger_name(trigger)
        if limit is not None and not await self._limiter.test(limit, name, cost=uncounted + 1):
            await self._refuse(limit, name, "A trigger", "EVENT_TRIGGER_FIRE_RATE_PER_TRIGGER")
        limit, name = self._per_project, _project_name(trigger.owner_id)
        if limit is not None and not await self._limiter.hit(limit, name):
            await self._refuse(limit, name, "A project", "EVENT_TRIGGER_MAX_CALLS_PER_MINUTE")

    async def count(self, trigger: OwnedId) -> None:
        if self._per_trigger is not None:
            await self._limiter.hit(self._per_trigger, _trigger_name(trigger))

    async def calls_of(self, project_id: int) -> int:
        limit = self._per_project
        if limit is None:
            return 0
        stats = await self._limiter.get_window_stats(limit, _project_name(project_id))
        return limit.amount - stats.remaining

    async def _refuse(self, limit: RateLimitItem, name: str, whose: str, setting: str) -> NoReturn:
        """Refuses a call that would be one too many: its limit is used up."""
        stats = await self._limiter.get_window_stats(limit, name)
        seconds = max(1, ceil(stats.reset_time - time.time()))
        raise TooManyCalls.of(limit, whose, setting, seconds=seconds)


def _project_name(project_id: int) -> str:
    return f"project {project_id}"


def _trigger_name(trigger: OwnedId) -> str:
    """Names a trigger with its owner, so that a caller cannot use up another owner's limit."""
    return f"trigger {trigger.owner_id}/{trigger.id}"
