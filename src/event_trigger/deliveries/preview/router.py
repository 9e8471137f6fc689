"""The HTTP operation that shows what a destination would be sent."""

import json
from typing import Annotated, Any

from fastapi import Body, Request
from fastapi.openapi.models import Example
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import EXPENSIVE, UNLIMITED, PrincipalDep, needs
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import MissingScope, Scope
from event_trigger.db.clock import database_now
from event_trigger.db.installation import read_installation
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.preview.requests import RequestShower, ShownForm
from event_trigger.deliveries.preview.schemas import RenderedRequest, RenderRequest
from event_trigger.deliveries.preview.shown_events import ShownEvent
from event_trigger.destinations.form_check import TemplatesUnchecked
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.repository import Destinations
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized, UnsupportedMediaType
from event_trigger.events.dependencies import RetentionDep, visible_to
from event_trigger.events.repository import Events
from event_trigger.events.trigger_names import NAMELESS
from event_trigger.events.window import Retention
from event_trigger.models import Destination, DestinationFormat, DestinationMethod
from event_trigger.web.cpu_bound import TooManyExpensiveCalls
from event_trigger.web.dependencies import SessionsDep, app_state
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["destinations"],
    responses=problems(
        Unauthorized,
        Forbidden,
        NotFound,
        Invalid,
        UnsupportedMediaType,
        TooManyExpensiveCalls,
        TemplatesUnchecked,
    ),
    dependencies=[needs(Scope.DESTINATIONS_READ), UNLIMITED, EXPENSIVE],
)

_EXAMPLES: dict[str, Example] = {
    "a template and a sample": {
        "value": {
            "url": "https://example.com/hook",
            "format": "template",
            "template": '{"text": {{ data.message | json }}}',
            "data": {"message": "Backup done"},
        }
    },
    "a chat that hears of failures": {
        "value": {
            "url": "https://example.com/chat",
            "format": "template",
            "template": '{"text": {{ notice.message | json }}}',
            "notice": "destination.opened",
        }
    },
    "a destination and an event": {"value": {"destination": "billing", "event_id": 1}},
}
_DEFAULTS: dict[str, Any] = {
    "url": None,
    "format": DestinationFormat.CLOUDEVENTS,
    "method": DestinationMethod.POST,
    "template": None,
    "content_type": None,
    "subject": None,
}
_OF_TEMPLATES = {"template": None, "content_type": None}
_OF_REQUESTS = {"content_type": None, "method": DestinationMethod.POST}


@router.post(
    "/destinations/render",
    summary="Show what would be sent",
    operation_id="render_destination",
)
async def render_destination(
    body: Annotated[RenderRequest, Body(openapi_examples=_EXAMPLES)],
    principal: PrincipalDep,
    sessions: SessionsDep,
    retention: RetentionDep,
    request: Request,
) -> RenderedRequest:
    """Shows the request that a destination would get for an event, or for a sample.

    Nothing is sent, and nothing is stored. Name a destination, write the fields of one that does
    not exist yet, or both: `{"destination": 1, "template": "…"}` tries another template. Stars
    stand for secrets. A template that fails is a 422, with the reason that its delivery would end
    with.
    """
    if body.event_id is not None and Scope.EVENTS_READ not in principal.scopes:
        raise MissingScope([Scope.EVENTS_READ], "Showing an event")
    if body.event_id is not None and body.data is not None:
        raise Invalid.at(["data"], "Leave this out: with event_id, the event's payload is shown.")
    if body.notice is not None and (body.event_id, body.data) != (None, None):
        raise Invalid.at(["notice"], "Leave this out, or event_id and data: one thing is shown.")
    async with sessions() as session:
        destination = await _find_destination(session, principal, body.destination)
        event = await _find_event(session, principal, retention, body)
        now, installation = await database_now(session), await read_installation(session)
    state = app_state(request)
    shower = RequestShower(
        state.renderer,
        principal.one_project_id,
        installation,
        state.settings.public_url,
        state.settings.mail_sender,
    )
    shown = await shower.show(_form_of(body, destination), event, at=now)
    return RenderedRequest(
        method=shown.method, url=shown.url, headers=shown.headers, body=shown.body
    )


async def _find_destination(
    session: AsyncSession, principal: Principal, name: int | str | None
) -> Destination | None:
    """Finds the destination with an id or a key; raises NotFound."""
    if name is None:
        return None
    destinations, owner_id = Destinations(session), principal.one_project_id
    if isinstance(name, str):
        found = await destinations.get_by_key(owner_id, name)
    else:
        found = await destinations.get(OwnedId(owner_id, name))
    if found is None:
        raise NotFound
    return found


async def _find_event(
    session: AsyncSession, principal: Principal, retention: Retention, body: RenderRequest
) -> ShownEvent:
    """Reads the event that is asked for, or makes a sample; raises NotFound."""
    now, events = await database_now(session), Events(session)
    if body.notice is not None:
        return ShownEvent.notice(body.notice, now=now)
    if body.event_id is None:
        payload = None if body.data is None else json.dumps(body.data, ensure_ascii=False)
        return ShownEvent.sample(payload, now=now)
    event = await events.get(visible_to(principal, retention, now=now), body.event_id)
    if event is None:
        raise NotFound
    names = await events.name_triggers([event])
    payload = await events.get_payload_text(event)
    return ShownEvent.of(event, names.get(event.trigger_id, NAMELESS), payload)


def _form_of(body: RenderRequest, destination: Destination | None) -> ShownForm:
    """Puts the fields of the body in the place of the destination's; null means the default.

    What another format or method has no use for is left out, unless it is in the body.
    """
    given = _given_in(body)
    stored = {} if destination is None else {one: getattr(destination, one) for one in _DEFAULTS}
    fields = _DEFAULTS | stored | given
    if fields["url"] is None:
        raise Invalid.at(["url"], "Write a URL, or name a destination.")
    form = RequestForm.within(fields)
    if form.format is not DestinationFormat.TEMPLATE or not form.has_body:
        fields |= _OF_TEMPLATES | given
    fields |= (_OF_REQUESTS if form.is_mail else {"subject": None}) | given
    form = RequestForm.within(fields)
    return ShownForm(form, [] if destination is None else destination.header_names, given)


def _given_in(body: RenderRequest) -> dict[str, Any]:
    given = {name: getattr(body, name) for name in _DEFAULTS if name in body.model_fields_set}
    return {name: _DEFAULTS[name] if value is None else value for name, value in given.items()}
