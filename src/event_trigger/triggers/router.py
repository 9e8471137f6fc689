"""HTTP operations on triggers: create, list, read, change, pause, resume, delete."""

from typing import Annotated

from fastapi import Body, Query, Response
from fastapi.openapi.models import Example

from event_trigger.auth.dependencies import UNLIMITED, PrincipalDep, needs
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import Scope
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.triggers import editing, lifecycle
from event_trigger.triggers.dependencies import (
    HooksDep,
    PortsDep,
    ReaderDep,
    TriggerKeyDep,
    write_list,
)
from event_trigger.triggers.lists import list_page
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schemas.requests import (
    TriggerCreate,
    TriggerListQuery,
    TriggerReplace,
    TriggerUpdate,
)
from event_trigger.triggers.schemas.responses import TriggerListed, TriggerRead, TriggerWritten
from event_trigger.web.dependencies import SessionDep, SettingsDep
from event_trigger.web.entity_tags import (
    NOT_MODIFIED,
    TAGGED,
    ChangingDep,
    PreconditionFailed,
    PuttingDep,
    ReadingDep,
)
from event_trigger.web.keys import KeyTaken
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.schemas import View
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/triggers", tags=["triggers"], responses=problems(Unauthorized, Forbidden, NotFound)
)
READ, WRITE = needs(Scope.TRIGGERS_READ), needs(Scope.TRIGGERS_WRITE)
OPERATE = needs(Scope.TRIGGERS_FIRE)

REPLACE_EXAMPLES: dict[str, Example] = {  # of one type, since that stays
    "every 30 minutes": {
        "value": {"type": "scheduled", "details": {"interval": 30, "recurring": True}}
    },
    "on weekdays at nine, in Berlin": {
        "value": {
            "type": "scheduled",
            "name": "Stand-up",
            "details": {"cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin"},
            "payload": {"room": "blue"},
        }
    },
    "once, in 90 seconds": {"value": {"type": "scheduled", "details": {"interval": "PT90S"}}},
}
TRIGGER_EXAMPLES: dict[str, Example] = {
    **REPLACE_EXAMPLES,
    "when GitHub calls": {"value": {"type": "api", "details": {"hook": {"verify": "github"}}}},
    "when Stripe calls, with its secret": {
        "value": {
            "type": "api",
            "details": {"hook": {"verify": "stripe", "secret": "whsec_the_endpoints_own"}},
        }
    },
    "when a nightly job is silent": {
        "value": {
            "type": "heartbeat",
            "details": {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "grace": "PT1H"},
        }
    },
    "when a client calls": {
        "value": {"type": "api", "details": {}, "payload": {"source": "deploy"}}
    },
}


NEVER_FIRES = Invalid.at(
    ["details", "cron"],
    "cron can never fire: its months do not have that day. Name one that they have.",
)


@router.post(
    "",
    summary="Create a trigger",
    operation_id="create_trigger",
    dependencies=[WRITE, UNLIMITED, IDEMPOTENT],
    status_code=201,
    responses={
        **problems(NotFound, lifecycle.TooManyTriggers, UnsupportedMediaType, NEVER_FIRES),
        **with_headers(201, "Location", "ETag"),
    },
)
async def create_trigger(
    body: Annotated[TriggerCreate, Body(openapi_examples=TRIGGER_EXAMPLES)],
    principal: PrincipalDep,
    session: SessionDep,
    ports: PortsDep,
    reader: ReaderDep,
    settings: SettingsDep,
    response: Response,
) -> TriggerWritten:
    """Creates a `scheduled` trigger, which fires by itself, an `api` trigger, which is called, or a
    `heartbeat`, which fires when an expected ping does not come.

    If the schedule lies in the past, the trigger never fires, and `warnings` says so. With
    `details.hook`, the response has a `hook_url` for senders that cannot hold a token, and the
    `hook_secret` that they sign with, which is shown only once. Naming `destinations` needs the
    scope `destinations:read`. A project that has as many triggers as `GET /info` allows it answers
    409.
    """
    written = await lifecycle.create(session, ports, principal, body, most=settings.max_triggers)
    response.headers["Location"] = f"/triggers/{written.trigger.id}"
    return await reader.read_written(written.trigger, written.hook)


@router.get(
    "",
    summary="List triggers",
    operation_id="list_triggers",
    dependencies=[READ],
    response_model=list[TriggerListed],
    responses=problems(Invalid),
)
async def list_triggers(
    principal: PrincipalDep,
    session: SessionDep,
    reader: ReaderDep,
    paging: PageQueryDep,
    query: Annotated[TriggerListQuery, Query()],
) -> Response:
    """Lists triggers, newest first unless `sort` says otherwise.

    The `Link` header with `rel="next"` leads to the next page. Every filter can be combined with
    every order. All orders but that of ids, and the filter `key`, are for one project.
    """
    rows = await list_page(session, principal, query, paging)
    beside, summary = await reader.read_beside(rows), query.view is View.SUMMARY
    return paging.answered(await write_list(rows, beside, summary=summary))


@router.get(
    "/{trigger_id:id}",
    summary="Read a trigger",
    operation_id="get_trigger",
    dependencies=[READ],
    response_model=TriggerRead,
    responses=problems(NotFound, Invalid) | TAGGED | NOT_MODIFIED,
)
async def get_trigger(
    key: TriggerKeyDep, session: SessionDep, reader: ReaderDep, reading: ReadingDep
) -> TriggerRead | Response:
    """Returns the trigger, with its next fire time and the number of its firings.

    Its `ETag` tells one configuration from another: firing does not change it.
    """
    trigger = await Triggers(session).get(key)
    if trigger is None:
        raise NotFound
    return await reader.read_unless_known(trigger, reading)


@router.put(
    "/{trigger_id:id}",
    summary="Replace a trigger",
    operation_id="replace_trigger",
    dependencies=[WRITE],
    responses={
        **problems(NotFound, editing.OtherType, PreconditionFailed, UnsupportedMediaType, Invalid),
        **TAGGED,
    },
)
async def replace_trigger(
    body: Annotated[TriggerReplace, Body(openapi_examples=REPLACE_EXAMPLES)],
    key: TriggerKeyDep,
    principal: PrincipalDep,
    session: SessionDep,
    ports: PortsDep,
    reader: ReaderDep,
    putting: PuttingDep,
) -> TriggerWritten:
    """Gives the trigger another configuration: absent fields mean their default.

    The status stays, and the same content again changes nothing: neither the schedule's phase nor
    the hook. A body may be the answer that was read before: read-only fields that are unchanged are
    ignored. The type stays; another one is a 409.
    """
    written = await editing.replace_one(
        session, ports, key, body, by=principal, check=reader.checking(putting, body)
    )
    return await reader.read_written(written.trigger, written.hook)


@router.patch(
    "/{trigger_id:id}",
    summary="Change a trigger",
    operation_id="update_trigger",
    dependencies=[WRITE],
    responses={
        **problems(NotFound, KeyTaken, PreconditionFailed, UnsupportedMediaType, Invalid),
        **TAGGED,
    },
)
async def update_trigger(
    body: TriggerUpdate,
    key: TriggerKeyDep,
    principal: PrincipalDep,
    session: SessionDep,
    ports: PortsDep,
    reader: ReaderDep,
    changing: ChangingDep,
) -> TriggerWritten:
    """Applies a JSON Merge Patch (RFC 7396). A changed schedule is in force from the response on.

    Adding a hook, or another `verify`, makes a new URL and a new secret; another option or another
    `details.hook.secret` leaves the URL as it is. Adding destinations needs the scope
    `destinations:read`; an API key that is limited to some triggers cannot add any. Read-only
    fields that are unchanged are ignored.
    """
    written = await editing.change(
        session, ports, key, body, by=principal, check=reader.checking(changing, body)
    )
    return await reader.read_written(written.trigger, written.hook)


@router.delete(
    "/{trigger_id:id}",
    summary="Delete a trigger",
    operation_id="delete_trigger",
    dependencies=[WRITE],
    status_code=204,
    responses=problems(NotFound, PreconditionFailed, Invalid),
)
async def delete_trigger(
    key: TriggerKeyDep,
    session: SessionDep,
    hooks: HooksDep,
    reader: ReaderDep,
    changing: ChangingDep,
) -> None:
    """Deletes the trigger. Its past events stay until their retention ends."""
    await lifecycle.delete(session, hooks, key, check=reader.checking(changing))


@router.post(
    "/{trigger_id:id}/pause",
    summary="Pause a trigger",
    operation_id="pause_trigger",
    dependencies=[OPERATE],
    responses=problems(NotFound, lifecycle.AlreadyCompleted, Invalid) | TAGGED,
)
async def pause_trigger(key: TriggerKeyDep, session: SessionDep, reader: ReaderDep) -> TriggerRead:
    """Stops the trigger from firing, by its schedule and by calls, until it is resumed."""
    return await reader.read(await lifecycle.pause(session, key))


@router.post(
    "/{trigger_id:id}/resume",
    summary="Resume a trigger",
    operation_id="resume_trigger",
    dependencies=[OPERATE],
    responses=problems(NotFound, lifecycle.AlreadyCompleted, Invalid) | TAGGED,
)
async def resume_trigger(key: TriggerKeyDep, session: SessionDep, reader: ReaderDep) -> TriggerRead:
    """Resumes a paused trigger. `warnings` says which instants the pause has taken."""
    resumed = await lifecycle.resume(session, key)
    return await reader.read_resumed(resumed.trigger, resumed.in_pause)
