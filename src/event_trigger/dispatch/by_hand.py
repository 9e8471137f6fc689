"""Firing by hand: within the rates, and in a commit that is shared."""

from event_trigger.auth.principal import Principal
from event_trigger.dispatch.firing import Answer, Call
from event_trigger.dispatch.group_commit import GroupCommit
from event_trigger.dispatch.rates import Rates


async def fire_by_hand(
    group_commit: GroupCommit, rates: Rates, call: Call, *, caller: Principal | None
) -> Answer:
    """Gives the answer once its event is committed; hooks have no caller with a rate of its own."""
    await rates.check(call.trigger, caller=None if caller is None else name_of(caller))
    answer = await group_commit.fire(call)
    await rates.count(call.trigger)
    return answer


def headers_of(answer: Answer) -> dict[str, str]:
    location = {"Location": f"/events/{answer.event_id}"}
    return location | {"Idempotent-Replayed": "true"} if answer.replayed else location


def name_of(principal: Principal) -> str:
    """Names the key, or the user: signing in again must not begin a new count."""
    if principal.key_id is None:
        return f"user {principal.user_id}"
    return f"key {principal.key_id}"
