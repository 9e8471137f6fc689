"""The HTTP operation that streams events as they are committed (server-sent events)."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import WithJsonSchema

from event_trigger.auth.dependencies import CredentialsDep, PrincipalDep, needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized, Unavailable
from event_trigger.events.dependencies import RetentionDep, filter_for
from event_trigger.events.schemas import EventQuery, json_line, read_event
from event_trigger.models import EventState
from event_trigger.models.base import LARGEST_ID
from event_trigger.stream.subscriptions import Subscription, Subscriptions, TooManyStreams
from event_trigger.stream.tail import Tail
from event_trigger.web.problems import problems
from event_trigger.web.session import SessionsDep
from event_trigger.web.state import app_state
from event_trigger.web.strict_json import strict_router

# without "model": FastAPI would describe it in the media type of the stream
_PROBLEMS = {
    status: {key: value for key, value in described.items() if key != "model"}
    for status, described in problems(
        Unauthorized, Forbidden, NotFound, Invalid, TooManyStreams, Unavailable
    ).items()
}

router = strict_router(
    prefix="/events",
    tags=["events"],
    responses=_PROBLEMS,
    dependencies=[needs(Scope.EVENTS_READ)],
)


async def get_subscriptions(request: Request) -> Subscriptions:
    return app_state(request).subscriptions


SubscriptionsDep = Annotated[Subscriptions, Depends(get_subscriptions)]


async def subscribe(
    subscriptions: SubscriptionsDep, principal: PrincipalDep
) -> AsyncIterator[Subscription]:
    """Subscribes for as long as the stream is open."""
    with subscriptions.subscribe(
        user_id=principal.user_id, owner_id=principal.project_id
    ) as subscription:
        yield subscription


@router.get(
    "/stream",
    summary="Follow events",
    operation_id="stream_events",
    response_class=EventSourceResponse,
)
async def stream_events(
    subscriptions: SubscriptionsDep,
    subscription: Annotated[Subscription, Depends(subscribe)],
    principal: PrincipalDep,
    credentials: CredentialsDep,
    sessions: SessionsDep,
    retention: RetentionDep,
    query: Annotated[EventQuery, Query()],
    state: Annotated[
        Literal["active"] | None,
        Query(description="New events are active; `GET /events` lists archived ones."),
    ] = None,
    last_event_id: Annotated[
        int | None,
        Header(
            ge=0, le=LARGEST_ID, description="Continues after this event; starts now by default."
        ),
        # a header cannot be null
        WithJsonSchema({"type": "integer", "minimum": 0, "maximum": LARGEST_ID}),
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Streams events as server-sent events, in the order in which they are committed.

    `id` is the event's id, and `data` is the event as `GET /events/{id}` gives it. After a
    reconnect with `Last-Event-ID`, no event is missing, whichever replica answers. If that event no
    longer exists, the stream starts with the oldest event that does.

    The filters are those of `GET /events`. The stream ends after `until`, and when its token
    expires: reconnect with a new one.
    """
    tail = Tail(
        sessions,
        subscriptions,
        credentials,
        principal,
        lambda now: filter_for(
            principal, retention, query, now=now, state=state and EventState(state)
        ),
    )
    position = await tail.position_after(last_event_id)
    yield ServerSentEvent(comment="following")
    async for news in tail.follow(subscription, position):
        for event in news.events:
            line = json_line(read_event(event, retention, now=news.now))
            yield ServerSentEvent(raw_data=line, id=str(event.id))
