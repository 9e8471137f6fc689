"""Limits how often keys, triggers and projects fire by call, counted in each process."""

from typing import Self

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
    def of(cls, limit: object, whose: str, setting: str, *, seconds: int) -> Self:
        """Makes the problem of a limit that is used up for so many seconds more."""
        return cls(
            f"{whose} may fire {limit} in a process of this service, and all of it is used. Wait as"
            f" long as Retry-After says, or ask the operator of this service to raise {setting}.",
            headers={"Retry-After": str(seconds)},
        )

    @classmethod
    def example(cls) -> Self:
        setting = "EVENT_TRIGGER_MAX_CALLS_PER_MINUTE"
        return cls.of("600 per 1 minute", "A project", setting, seconds=1)


class RateLimits:
    """Limits nothing; `CountedRateLimits` does where the operator has set a limit."""

    has_any = False

    async def check(self, trigger: OwnedId, *, caller: str | None, uncounted: int = 0) -> None:
        """Counts a call for its caller, if there is one, and for its project; may refuse it.

        The trigger's limit is only tested here: its id may not exist. `uncounted` is the number of
        calls of the trigger that come before this one in a batch. Raises TooManyCalls.
        """

    async def count(self, trigger: OwnedId) -> None:
        """Counts a call that has fired its trigger."""

    async def calls_of(self, project_id: int) -> int:  # noqa: ARG002 - for others
        """Returns a project's calls of the last minute in this process; 0 without a limit."""
        return 0


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
