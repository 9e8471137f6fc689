"""The HTTP operation that streams events as they are committed (server-sent events)."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AfterValidator, WithJsonSchema

from event_trigger.auth.dependencies import CredentialsDep, PrincipalDep, needs
from event_trigger.auth.scopes import MissingScope, Scope
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized, Unavailable
from event_trigger.events.dependencies import RetentionDep, filter_for
from event_trigger.events.schemas import EventQuery, json_line, read_event
from event_trigger.models import EventState
from event_trigger.models.base import LARGEST_ID
from event_trigger.stream.changes import Changes
from event_trigger.stream.subscriptions import (
    Subscription,
    Subscriptions,
    TooManyStreams,
    Topic,
)
from event_trigger.stream.tail import Tail
from event_trigger.triggers.dependencies import HooksDep
from event_trigger.web.dependencies import SessionsDep, app_state
from event_trigger.web.problems import problems
from event_trigger.web.request_head import base_url
from event_trigger.web.strict_json import strict_router

# OpenAPI 3.1 has no words for the parts of a stream, so they are described as a text's content
STREAMED: dict[str, Any] = {
    "type": "string",
    "description": "Server-sent events without end: read it line by line.",
    "contentMediaType": "text/event-stream",
    "contentSchema": {
        "type": "object",
        "description": "One event of the stream.",
        "properties": {
            "id": {
                "type": "string",
                "description": "An event's id, for `Last-Event-ID`; other topics have none.",
            },
            "event": {
                "type": "string",
                "enum": ["delivery", "trigger", "trigger_deleted", "missed"],
                "description": "The kind of `data`; an event has none.",
            },
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {
                    "anyOf": [
                        {"$ref": f"#/components/schemas/{name}"}
                        for name in ("EventRead", "DeliveryRead", "TriggerRead")
                    ],
                    "description": "Of `trigger_deleted` only the `id`, of `missed` the `topics`.",
                },
            },
        },
        "required": ["data"],
    },
}

_TOPIC = f"({'|'.join(Topic)})"


def _check_topics(topics: str) -> str:
    if not set(topics.split(",")) <= {*Topic}:
        named = ", ".join(Topic)
        raise ValueError(f"Write one or more of these, with commas and without spaces: {named}.")
    return topics


router = strict_router(
    prefix="/events",
    tags=["events"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid, TooManyStreams, Unavailable),
    dependencies=[needs(Scope.EVENTS_READ)],
)


async def get_subscriptions(request: Request) -> Subscriptions:
    return app_state(request).subscriptions


SubscriptionsDep = Annotated[Subscriptions, Depends(get_subscriptions)]


async def get_topics(
    principal: PrincipalDep,
    topics: Annotated[
        str,
        AfterValidator(_check_topics),
        Query(
            json_schema_extra={"pattern": f"^{_TOPIC}(,{_TOPIC})*$"},
            description="`events`, `deliveries`, `triggers`, or several with commas between them.",
            examples=["events,deliveries"],
        ),
    ] = Topic.EVENTS,
) -> frozenset[Topic]:
    """Raises MissingScope if triggers are to be followed, and the principal may not read them."""
    wanted = frozenset(Topic(one) for one in topics.split(","))
    if Topic.TRIGGERS in wanted and Scope.TRIGGERS_READ not in principal.scopes:
        raise MissingScope([Scope.TRIGGERS_READ], "Following triggers")
    return wanted


TopicsDep = Annotated[frozenset[Topic], Depends(get_topics)]


async def subscribe(
    subscriptions: SubscriptionsDep, principal: PrincipalDep, topics: TopicsDep
) -> AsyncIterator[Subscription]:
    """Subscribes for as long as the stream is open."""
    with subscriptions.subscribe(
        user_id=principal.user_id, owner_id=principal.project_id, topics=topics
    ) as subscription:
        yield subscription


@router.get(
    "/stream",
    summary="Follow events",
    operation_id="stream_events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"schema": STREAMED}}}},
)
async def stream_events(
    subscriptions: SubscriptionsDep,
    subscription: Annotated[Subscription, Depends(subscribe)],
    principal: PrincipalDep,
    credentials: CredentialsDep,
    sessions: SessionsDep,
    retention: RetentionDep,
    request: Request,
    hooks: HooksDep,
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

    `topics` also streams the progress of deliveries and the changes of triggers. `event: delivery`
    has a delivery after each attempt as `GET /deliveries` lists it, `event: trigger` a trigger
    after each change as `GET /triggers?view=summary` does, and `event: trigger_deleted` the id of
    one that is gone. These have no `id`, and are not sent again after a reconnect: `event: missed`
    names the topics of which some may have been missed, so that their lists should be read again.

    The filters are those of `GET /events`; for other topics, only `trigger_id`. The stream ends
    after `until`, and when its token expires: reconnect with a new one.
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
    changes = Changes(
        sessions, subscriptions, principal, hooks, base_url(request), query.trigger_id
    )
    position = await tail.position_after(last_event_id)
    yield ServerSentEvent(comment="following")
    async for news in tail.follow(subscription, position):
        for event in news.events if Topic.EVENTS in subscription.topics else ():
            line = json_line(read_event(event, retention, now=news.now, named=news.named))
            yield ServerSentEvent(raw_data=line, id=str(event.id))
        async for change in changes.take_from(subscription):
            yield ServerSentEvent(raw_data=change.line, event=change.kind)
