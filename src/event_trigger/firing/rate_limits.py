"""Limits how often callers may fire and triggers be fired by call, counted in each process."""

import time
from math import ceil
from typing import NoReturn

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from event_trigger.auth.principal import Principal
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Problem
from event_trigger.firing.fire import Call, CallAnswer
from event_trigger.firing.group_commit import GroupCommit


class TooManyCalls(Problem):
    status, slug, title = 429, "too-many-calls", "Too many calls"
    default_detail = "This is fired more often than is allowed. Wait as long as Retry-After says."

    def __init__(self, seconds: float = 1.0) -> None:
        super().__init__(headers={"Retry-After": str(max(1, ceil(seconds)))})


class RateLimits:
    """Holds limits such as `100/second`; None is no limit. N replicas allow N times as many."""

    def __init__(self, *, per_key: str | None, per_trigger: str | None) -> None:
        self._per_key = None if per_key is None else parse(per_key)
        self._per_trigger = None if per_trigger is None else parse(per_trigger)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check(self, trigger: OwnedId, *, caller: str | None) -> None:
        """Counts a call for its caller, if there is one; raises TooManyCalls if a limit is reached.

        The trigger's limit is only tested here: its id may not exist.
        """
        limit, name = self._per_key, caller
        if limit is not None and name is not None and not await self._limiter.hit(limit, name):
            await self._refuse(limit, name)
        limit, name = self._per_trigger, _trigger_name(trigger)
        if limit is not None and not await self._limiter.test(limit, name):
            await self._refuse(limit, name)

    async def count(self, trigger: OwnedId) -> None:
        """Counts a call that has fired its trigger."""
        if self._per_trigger is not None:
            await self._limiter.hit(self._per_trigger, _trigger_name(trigger))

    async def _refuse(self, limit: RateLimitItem, name: str) -> NoReturn:
        stats = await self._limiter.get_window_stats(limit, name)
        raise TooManyCalls(stats.reset_time - time.time())


def _trigger_name(trigger: OwnedId) -> str:
    """Names a trigger with its owner, so that a caller cannot use up another owner's limit."""
    return f"trigger {trigger.owner_id}/{trigger.id}"


async def fire_within_limits(
    group_commit: GroupCommit, rates: RateLimits, call: Call, *, caller: Principal | None
) -> CallAnswer:
    """Fires within the limits; gives the answer after the commit. Hooks have no `caller`."""
    await rates.check(call.trigger, caller=None if caller is None else name_of(caller))
    answer = await group_commit.fire(call)
    await rates.count(call.trigger)
    return answer


def headers_of(answer: CallAnswer) -> dict[str, str]:
    location = {"Location": f"/events/{answer.event_id}"}
    return location | {"Idempotent-Replayed": "true"} if answer.is_repeated else location


def name_of(principal: Principal) -> str:
    """Names the caller's key, or else the user: another login must not start a new count."""
    if principal.key_id is None:
        return f"user {principal.user_id}"
    return f"key {principal.key_id}"
