"""Reads calls that fire by hand, and fires them within the rate limits."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Body, Depends, Header, Request, Response
from fastapi.openapi.models import Example

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.auth.idempotency import KEY_HEADER
from event_trigger.auth.principal import Principal
from event_trigger.deliveries.dependencies import HopsDep
from event_trigger.events.dependencies import SourceDep
from event_trigger.firing.fire import Call, SentBody
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.firing.rate_limits import RateLimits, fire_within_limits, headers_of
from event_trigger.firing.schemas import Fired
from event_trigger.triggers.dependencies import TriggerByKeyDep, TriggerKeyDep
from event_trigger.web.cpu_bound import CpuBoundDep
from event_trigger.web.dependencies import app_state
from event_trigger.web.request_head import refuse_repeated
from event_trigger.web.schemas import JsonObject, PathKey, Text

FIRE_EXAMPLES: dict[str, Example] = {
    "with a payload": {"value": {"order": 42}},
    "with the predefined payload only": {"value": {}},
}


async def get_group_commit(request: Request) -> GroupCommit:
    return app_state(request).group_commit


async def get_rate_limits(request: Request) -> RateLimits:
    return app_state(request).rate_limits


async def take_batch_slot(principal: PrincipalDep, cpu_bound: CpuBoundDep) -> AsyncIterator[None]:
    """Holds one of the caller's slots for batches until the response is sent."""
    async with cpu_bound.slot(principal.user_id, "batches"):
        yield


BATCH_SLOT = Depends(take_batch_slot)  # holds no database connection

GroupCommitDep = Annotated[GroupCommit, Depends(get_group_commit)]
RateLimitsDep = Annotated[RateLimits, Depends(get_rate_limits)]


FiredBody = Annotated[JsonObject | None, Body(openapi_examples=FIRE_EXAMPLES)]
IdempotencyKey = Annotated[
    Text | None,
    Header(
        min_length=1,
        max_length=255,
        description="Within 48 hours, the same key with the same body fires once.",
    ),
]


async def read_call(
    request: Request,
    trigger: TriggerKeyDep,
    hops: HopsDep,
    source: SourceDep,
    body: FiredBody = None,
    idempotency_key: IdempotencyKey = None,
) -> Call:
    """Reads a call from a request, with the text of its body as it was sent."""
    refuse_repeated(request, KEY_HEADER)
    sent = None if body is None else SentBody(body, (await request.body()).decode())
    return Call(
        trigger,
        sent,
        is_test=False,
        idempotency_key=idempotency_key,
        hops=hops,
        source=source,
    )


async def read_call_by_key(
    request: Request,
    key: PathKey,
    trigger: TriggerByKeyDep,
    hops: HopsDep,
    source: SourceDep,
    body: FiredBody = None,
    idempotency_key: IdempotencyKey = None,
) -> Call:
    """Reads a call of the trigger with a key, which it must still have when it is fired."""
    call = await read_call(request, trigger, hops, source, body, idempotency_key)
    return call._replace(named=key)


CallDep = Annotated[Call, Depends(read_call)]
CallByKeyDep = Annotated[Call, Depends(read_call_by_key)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Fires calls for the caller of a request, within the rate limits."""

    principal: Principal
    group_commit: GroupCommit
    rate_limits: RateLimits
    response: Response

    async def fire(self, call: Call) -> Fired:
        answer = await fire_within_limits(
            self.group_commit, self.rate_limits, call, caller=self.principal
        )
        self.response.headers.update(headers_of(answer))
        return Fired()


async def get_caller(
    principal: PrincipalDep,
    group_commit: GroupCommitDep,
    rate_limits: RateLimitsDep,
    response: Response,
) -> Caller:
    return Caller(principal, group_commit, rate_limits, response)


CallerDep = Annotated[Caller, Depends(get_caller)]
