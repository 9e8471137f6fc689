"""HTTP operations that fire triggers and replay events."""

from fastapi import Response

from event_trigger.auth.dependencies import PrincipalDep, needs
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.dependencies import HopsDep
from event_trigger.deliveries.http.hops import LoopDetected
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.events.dependencies import RetentionDep, SourceDep, visible_to
from event_trigger.events.repository import Events
from event_trigger.events.schemas import EventRead, read_event
from event_trigger.events.source import SourceKind
from event_trigger.firing.dependencies import (
    CallByKeyDep,
    CallDep,
    CallerDep,
    RateLimitsDep,
)
from event_trigger.firing.rate_limits import (
    FIRED_HEADERS,
    TooManyCalls,
    name_of,
)
from event_trigger.firing.refusals import EventsFull, Paused
from event_trigger.firing.replays import replay
from event_trigger.firing.schemas import Fired
from event_trigger.idempotency.refusals import StillRunning
from event_trigger.web.dependencies import SessionDep
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.schemas import PathId
from event_trigger.web.strict_json import strict_router

replays = strict_router(
    prefix="/events",
    tags=["events"],
    responses=problems(
        Unauthorized, Forbidden, NotFound, Invalid, TooManyCalls, EventsFull, LoopDetected
    ),
    dependencies=[needs(Scope.TRIGGERS_FIRE, Scope.EVENTS_READ)],
)
_PROBLEMS = problems(
    Unauthorized,
    Forbidden,
    NotFound,
    UnsupportedMediaType,
    Invalid,
    TooManyCalls,
    EventsFull,
    LoopDetected,
)
router, by_key = (
    strict_router(
        prefix=prefix,
        tags=["triggers"],
        responses=_PROBLEMS,
        dependencies=[needs(Scope.TRIGGERS_FIRE)],
    )
    for prefix in ("/triggers", "/triggers/by-key/{key}")
)


@router.post(
    "/{trigger_id:id}/trigger",
    summary="Fire a trigger",
    operation_id="fire_trigger",
    responses={**problems(Paused), **with_headers(200, *FIRED_HEADERS)},
)
async def fire_trigger(call: CallDep, caller: CallerDep) -> Fired:
    """Makes an event now; `Location` is its address.

    The event's payload is the body exactly as sent. If the trigger has a predefined payload, the
    body is merged into it (RFC 7396, except that a null removes only a member that the predefined
    payload has). A paused trigger answers 409. A completed trigger can still be fired. A project
    whose events take as many bytes as `GET /info` allows it answers 507.
    """
    return await caller.fire(call)


@router.post(
    "/{trigger_id:id}/test",
    summary="Fire a test",
    operation_id="test_trigger",
    responses={**problems(StillRunning), **with_headers(200, *FIRED_HEADERS)},
)
async def test_trigger(call: CallDep, caller: CallerDep) -> Fired:
    """Fires with `is_test: true` on the event, and changes nothing about the trigger.

    It works on paused triggers too.
    """
    return await caller.fire(call._replace(is_test=True))


@by_key.post(
    "/trigger",
    summary="Fire the trigger with a key",
    operation_id="fire_trigger_by_key",
    responses={**problems(Paused), **with_headers(200, *FIRED_HEADERS)},
)
async def fire_trigger_by_key(call: CallByKeyDep, caller: CallerDep) -> Fired:
    """Makes an event now, as `POST /triggers/{trigger_id}/trigger` does, and as quickly."""
    return await caller.fire(call)


@by_key.post(
    "/test",
    summary="Fire a test by key",
    operation_id="test_trigger_by_key",
    responses={**problems(StillRunning), **with_headers(200, *FIRED_HEADERS)},
)
async def test_trigger_by_key(call: CallByKeyDep, caller: CallerDep) -> Fired:
    """Fires with `is_test: true` on the event, and changes nothing about the trigger."""
    return await caller.fire(call._replace(is_test=True))


@replays.post(
    "/{event_id}/replay",
    summary="Replay an event",
    operation_id="replay_event",
    dependencies=[IDEMPOTENT],
    status_code=201,
    responses=with_headers(201, "Location"),
)
async def replay_event(
    event_id: PathId,
    principal: PrincipalDep,
    rate_limits: RateLimitsDep,
    session: SessionDep,
    retention: RetentionDep,
    hops: HopsDep,
    source: SourceDep,
    response: Response,
) -> EventRead:
    """Makes a new event with the same payload and with `replay_of` set.

    The new event has the type `api`. It is delivered to the present destinations of the trigger, or
    to none if the trigger was deleted. The trigger itself does not change; it may be paused.
    """
    events, now = Events(session), await database_now(session)
    event = await events.get(visible_to(principal, retention, now=now), event_id)
    if event is None:
        raise NotFound
    trigger = OwnedId(event.owner_id, event.trigger_id)
    await rate_limits.check(trigger, caller=name_of(principal))
    new_id = await replay(session, event, hops=hops, source=source._replace(kind=SourceKind.REPLAY))
    await rate_limits.count(trigger)
    after = await database_now(session)
    new = await events.get(visible_to(principal, retention, now=after), new_id)
    assert new is not None
    response.headers["Location"] = f"/events/{new.id}"
    return read_event(new, retention, now=after, named=await events.name_triggers([new]))
