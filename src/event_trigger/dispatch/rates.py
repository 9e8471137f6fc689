"""How often a caller, and a trigger, may be fired by hand: counted in memory, in each process."""

import time
from math import ceil

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from event_trigger.errors import Problem
from event_trigger.triggers.repository import OwnedId


class TooManyCalls(Problem):
    status, slug, title = 429, "too-many-calls", "Too many calls"
    default_detail = "This is fired more often than is allowed. Wait as long as Retry-After says."

    def __init__(self, seconds: float = 1.0) -> None:
        super().__init__(headers={"Retry-After": str(max(1, ceil(seconds)))})


class Rates:
    """Limits such as `100/second`; None is no limit. With N replicas it is N times as much."""

    def __init__(self, *, per_key: str | None, per_trigger: str | None) -> None:
        self._per_key = None if per_key is None else parse(per_key)
        self._per_trigger = None if per_trigger is None else parse(per_trigger)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check(self, trigger: OwnedId, *, caller: str | None) -> None:
        """Counts a call, or raises TooManyCalls; `caller` names a credential, if there is one.

        Whose trigger it is counts too: nobody uses up what is another's by naming its id.
        """
        if caller is not None:
            await self._hit(self._per_key, "key", caller)
        await self._hit(self._per_trigger, "trigger", f"{trigger.owner_id}/{trigger.id}")

    async def _hit(self, limit: RateLimitItem | None, kind: str, name: str) -> None:
        if limit is None or await self._limiter.hit(limit, kind, name):
            return
        stats = await self._limiter.get_window_stats(limit, kind, name)
        raise TooManyCalls(stats.reset_time - time.time())
