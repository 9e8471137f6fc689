"""Limits how often keys, triggers and projects fire by call, counted in each process."""

import time
from math import ceil
from typing import NoReturn, Self

from limits import RateLimitItem, RateLimitItemPerMinute, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from event_trigger.auth.principal import Principal
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Problem
from event_trigger.firing.fire import Call, CallAnswer
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.firing.pings import PingAnswer

FIRED_HEADERS = ("Location", "Event-Id", "Idempotent-Replayed")


class TooManyCalls(Problem):
    status, slug, title = 429, "too-many-calls", "Too many calls"

    @classmethod
    def of(cls, limit: RateLimitItem, whose: str, setting: str, *, seconds: int) -> Self:
        """Makes the problem of a limit that is used up for so many seconds more."""
        return cls(
            f"{whose} may fire {limit} in a process of this service, and all of it is used. Wait as"
            f" long as Retry-After says, or ask the operator of this service to raise {setting}.",
            headers={"Retry-After": str(seconds)},
        )

    @classmethod
    def example(cls) -> Self:
        limit = RateLimitItemPerMinute(600)
        return cls.of(limit, "A project", "EVENT_TRIGGER_MAX_CALLS_PER_MINUTE", seconds=1)


class RateLimits:
    """Holds the limits of calls, such as `100/second`; None, or 0 of a project, is no limit.

    Each process counts in its own memory: N of them allow N times as many.
    """

    def __init__(self, *, per_key: str | None, per_trigger: str | None, per_project: int) -> None:
        """`per_project` is a number of calls a minute."""
        self._per_key = None if per_key is None else parse(per_key)
        self._per_trigger = None if per_trigger is None else parse(per_trigger)
        self._per_project = RateLimitItemPerMinute(per_project) if per_project else None
        self.has_any = any((self._per_key, self._per_trigger, self._per_project))
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check(self, trigger: OwnedId, *, caller: str | None, uncounted: int = 0) -> None:
        """Counts a call for its caller, if there is one, and for its project; may refuse it.

        The trigger's limit is only tested here: its id may not exist. `uncounted` is the number of
        calls of the trigger that come before this one in a batch. Raises TooManyCalls.
        """
        if not self.has_any:
            return
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
        """Counts a call that has fired its trigger."""
        if self._per_trigger is not None:
            await self._limiter.hit(self._per_trigger, _trigger_name(trigger))

    async def calls_of(self, project_id: int) -> int:
        """Returns a project's calls of the last minute in this process; 0 without a limit."""
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


async def fire_within_limits(
    group_commit: GroupCommit, rates: RateLimits, call: Call, *, caller: Principal | None
) -> CallAnswer:
    """Fires within the limits; gives the answer after the commit. Hooks have no `caller`."""
    await rates.check(call.trigger, caller=None if caller is None else name_of(caller))
    answer = await group_commit.fire(call)
    await rates.count(call.trigger)
    return answer


async def ping_within_limits(
    group_commit: GroupCommit, rates: RateLimits, call: Call
) -> PingAnswer:
    """Pings a heartbeat within the limits of its trigger and its project."""
    await rates.check(call.trigger, caller=None)
    answer = await group_commit.ping(call)
    await rates.count(call.trigger)
    return answer


def headers_of(answer: CallAnswer) -> dict[str, str]:
    """Returns the headers that tell a caller which event it has made; see FIRED_HEADERS."""
    headers = {"Location": f"/events/{answer.event_id}", "Event-Id": str(answer.event_id)}
    return headers | {"Idempotent-Replayed": "true"} if answer.is_repeated else headers


def name_of(principal: Principal) -> str:
    """Names the caller's key, or else the user: another login must not start a new count."""
    if principal.key_id is None:
        return f"user {principal.user_id}"
    return f"key {principal.key_id}"
