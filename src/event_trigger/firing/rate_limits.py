"""How often a caller, and a trigger, may be fired by hand: counted in memory, in each process."""

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
    """Limits such as `100/second`; None is no limit. With N replicas it is N times as much."""

    def __init__(self, *, per_key: str | None, per_trigger: str | None) -> None:
        self._per_key = None if per_key is None else parse(per_key)
        self._per_trigger = None if per_trigger is None else parse(per_trigger)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check(self, trigger: OwnedId, *, caller: str | None) -> None:
        """Counts a call of a credential, if `caller` names one, or raises TooManyCalls.

        The trigger's calls are only looked at: somebody may have made up its id.
        """
        limit, name = self._per_key, caller
        if limit is not None and name is not None and not await self._limiter.hit(limit, name):
            await self._refuse(limit, name)
        limit, name = self._per_trigger, _name_of(trigger)
        if limit is not None and not await self._limiter.test(limit, name):
            await self._refuse(limit, name)

    async def count(self, trigger: OwnedId) -> None:
        """Counts a call of a trigger that was fired by it."""
        if self._per_trigger is not None:
            await self._limiter.hit(self._per_trigger, _name_of(trigger))

    async def _refuse(self, limit: RateLimitItem, name: str) -> NoReturn:
        stats = await self._limiter.get_window_stats(limit, name)
        raise TooManyCalls(stats.reset_time - time.time())


def _name_of(trigger: OwnedId) -> str:
    """With its owner: nobody uses up what is another's by naming its id."""
    return f"trigger {trigger.owner_id}/{trigger.id}"


async def fire_within_limits(
    group_commit: GroupCommit, rates: RateLimits, call: Call, *, caller: Principal | None
) -> CallAnswer:
    """Gives the answer once its event is committed; hooks have no caller with a rate of its own."""
    await rates.check(call.trigger, caller=None if caller is None else name_of(caller))
    answer = await group_commit.fire(call)
    await rates.count(call.trigger)
    return answer


def headers_of(answer: CallAnswer) -> dict[str, str]:
    location = {"Location": f"/events/{answer.event_id}"}
    return location | {"Idempotent-Replayed": "true"} if answer.replayed else location


def name_of(principal: Principal) -> str:
    """Names the key, or the user: signing in again must not begin a new count."""
    if principal.key_id is None:
        return f"user {principal.user_id}"
    return f"key {principal.key_id}"
