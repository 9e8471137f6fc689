"""Firing by hand over HTTP."""

from typing import Annotated

from fastapi import Body, Depends, Header, Request, Response
from fastapi.openapi.models import Example

from event_trigger.auth.dependencies import PrincipalDep, needs
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.dependencies import HopsDep
from event_trigger.deliveries.http.hops import LoopDetected
from event_trigger.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.events.dependencies import RetentionDep, visible_to
from event_trigger.events.repository import Events
from event_trigger.events.schemas import EventRead, read_event
from event_trigger.firing.fire import Call, SentBody, replay
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.firing.rate_limits import (
    RateLimits,
    TooManyCalls,
    fire_within_limits,
    headers_of,
    name_of,
)
from event_trigger.firing.schemas import Fired
from event_trigger.triggers.dependencies import TriggerKeyDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import Id, JsonObject, Text
from event_trigger.web.session import SessionDep
from event_trigger.web.state import app_state, on_the_loop
from event_trigger.web.strict_json import strict_router

replays = strict_router(
    prefix="/events",
    tags=["firing"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid, TooManyCalls, LoopDetected),
    dependencies=[needs(Scope.TRIGGERS_FIRE, Scope.EVENTS_READ)],
)
router = strict_router(
    prefix="/triggers",
    tags=["firing"],
    responses=problems(
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        UnsupportedMediaType,
        Invalid,
        TooManyCalls,
        LoopDetected,
    ),
    dependencies=[needs(Scope.TRIGGERS_FIRE)],
)

EXAMPLES: dict[str, Example] = {
    "with a payload": {"value": {"order": 42}},
    "with the predefined payload only": {"value": {}},
}


async def get_group_commit(request: Request) -> GroupCommit:
    return app_state(request).group_commit


async def get_rates(request: Request) -> RateLimits:
    return app_state(request).rate_limits


GroupCommitDep = Annotated[GroupCommit, Depends(get_group_commit)]
RatesDep = Annotated[RateLimits, Depends(get_rates)]


class FireRequest:
    """What both ways of firing by hand take."""

    def __init__(
        self,
        request: Request,
        trigger: TriggerKeyDep,
        principal: PrincipalDep,
        rates: RatesDep,
        group_commit: GroupCommitDep,
        hops: HopsDep,
        response: Response,
        body: Annotated[JsonObject | None, Body(openapi_examples=EXAMPLES)] = None,
        idempotency_key: Annotated[
            Text | None,
            Header(
                min_length=1,
                max_length=255,
                description="The same key with the same body fires once within 48 hours.",
            ),
        ] = None,
    ) -> None:
        self.request = request
        self.trigger = trigger
        self.principal = principal
        self.rates = rates
        self.group_commit = group_commit
        self.hops = hops
        self.response = response
        self.body = body
        self.idempotency_key = idempotency_key

    async def fire(self, *, is_test: bool) -> Fired:
        body = None
        if self.body is not None:
            body = SentBody(self.body, (await self.request.body()).decode())
        call = Call(self.trigger, body, is_test, self.idempotency_key, hops=self.hops)
        answer = await fire_within_limits(
            self.group_commit, self.rates, call, caller=self.principal
        )
        self.response.headers.update(headers_of(answer))
        return Fired()


FireRequestDep = Annotated[FireRequest, Depends(on_the_loop(FireRequest))]


@router.post("/{trigger_id}/trigger", summary="Fire a trigger", operation_id="fire_trigger")
async def fire_trigger(request: FireRequestDep) -> Fired:
    """Makes an event now. Its payload is the body as it is sent, merged into the predefined one.

    That is RFC 7396, but a null removes only a member that the predefined payload has.
    `Location` names the event. A paused trigger answers 409; a completed one can still be fired.
    """
    return await request.fire(is_test=False)


@router.post("/{trigger_id}/test", summary="Fire a test", operation_id="test_trigger")
async def test_trigger(request: FireRequestDep) -> Fired:
    """As firing, but the event has `is_test: true` and the trigger itself is left alone.

    Works on paused triggers too.
    """
    return await request.fire(is_test=True)


@replays.post(
    "/{event_id}/replay", summary="Repeat an event", operation_id="replay_event", status_code=201
)
async def replay_event(
    event_id: Id,
    principal: PrincipalDep,
    rates: RatesDep,
    session: SessionDep,
    retention: RetentionDep,
    hops: HopsDep,
    response: Response,
) -> EventRead:
    """Makes a new event with the same payload, and `replay_of` set.

    It is a call: `type` is `api`. The trigger is left alone, also if it is paused. It is delivered
    where the trigger's events go now, and nowhere if the trigger was deleted.
    """
    events, now = Events(session), await database_now(session)
    event = await events.get(visible_to(principal, retention, now=now), event_id)
    if event is None:
        raise NotFound
    trigger = OwnedId(event.owner_id, event.trigger_id)
    await rates.check(trigger, caller=name_of(principal))
    new_id = await replay(session, event, hops=hops)
    await rates.count(trigger)
    after = await database_now(session)
    new = await events.get(visible_to(principal, retention, now=after), new_id)
    assert new is not None
    response.headers["Location"] = f"/events/{new.id}"
    return read_event(new, retention, now=after)
