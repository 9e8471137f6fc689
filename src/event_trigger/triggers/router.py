"""Triggers over HTTP: describe when, or who may; read, change, pause, resume, delete."""

from typing import Annotated

from fastapi import Body, Query, Response
from fastapi.openapi.models import Example

from event_trigger.auth.dependencies import UNLIMITED, PrincipalDep, needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.triggers import lifecycle
from event_trigger.triggers.dependencies import HooksDep, ReaderDep, TriggerKeyDep
from event_trigger.triggers.filters import TriggerFilter
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schemas import (
    TriggerCreate,
    TriggerQuery,
    TriggerRead,
    TriggerUpdate,
    TriggerWritten,
)
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.session import SessionDep
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/triggers", tags=["triggers"], responses=problems(Unauthorized, Forbidden)
)
READ, WRITE = needs(Scope.TRIGGERS_READ), needs(Scope.TRIGGERS_WRITE)

EXAMPLES: dict[str, Example] = {
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
    "when GitHub calls": {"value": {"type": "api", "details": {"hook": {"verify": "github"}}}},
    "when somebody calls": {
        "value": {"type": "api", "details": {}, "payload": {"source": "deploy"}}
    },
}


@router.post(
    "",
    summary="Create a trigger",
    operation_id="create_trigger",
    dependencies=[WRITE, UNLIMITED],
    status_code=201,
    responses=problems(UnsupportedMediaType, Invalid),
)
async def create_trigger(
    body: Annotated[TriggerCreate, Body(openapi_examples=EXAMPLES)],
    principal: PrincipalDep,
    session: SessionDep,
    hooks: HooksDep,
    reader: ReaderDep,
    response: Response,
) -> TriggerWritten:
    """A `scheduled` trigger fires by itself; an `api` trigger fires when it is called.

    `warnings` says so when the schedule lies in the past, so that it never fires. With
    `details.hook` the answer has a `hook_url` for senders that cannot hold a token, and, once, the
    `hook_secret` that they sign with. Naming `destinations` takes the scope `destinations:read`.
    """
    written = await lifecycle.create(session, hooks, principal, body)
    response.headers["Location"] = f"/triggers/{written.trigger.id}"
    return await _answer(written, reader)


async def _answer(written: lifecycle.SavedTrigger, reader: ReaderDep) -> TriggerWritten:
    return await reader.read_written(written.trigger, written.hook)


@router.get(
    "",
    summary="List triggers",
    operation_id="list_triggers",
    dependencies=[READ],
    responses=problems(Invalid),
)
async def list_triggers(
    principal: PrincipalDep,
    session: SessionDep,
    reader: ReaderDep,
    paging: PageQueryDep,
    query: Annotated[TriggerQuery, Query()],
) -> list[TriggerRead]:
    """Newest first. More pages are behind the `Link` header with `rel="next"`."""
    page = await Triggers(session).list_page(
        principal.owner_id,
        TriggerFilter(query.type, query.status, query.tag, query.q, principal.trigger_ids),
        before=paging.before_id(),
        limit=paging.limit,
    )
    return await reader.read_all(paging.rows_of(page, lambda trigger: trigger.id))


@router.get(
    "/{trigger_id}",
    summary="Read a trigger",
    operation_id="get_trigger",
    dependencies=[READ],
    responses=problems(NotFound, Invalid),
)
async def get_trigger(key: TriggerKeyDep, session: SessionDep, reader: ReaderDep) -> TriggerRead:
    """The trigger as it stands, with its next instant and how often it has fired."""
    trigger = await Triggers(session).get(key)
    if trigger is None:
        raise NotFound
    return await reader.read(trigger)


@router.patch(
    "/{trigger_id}",
    summary="Change a trigger",
    operation_id="update_trigger",
    dependencies=[WRITE],
    responses=problems(NotFound, UnsupportedMediaType, Invalid),
)
async def update_trigger(
    body: TriggerUpdate,
    key: TriggerKeyDep,
    principal: PrincipalDep,
    session: SessionDep,
    hooks: HooksDep,
    reader: ReaderDep,
) -> TriggerWritten:
    """A JSON Merge Patch (RFC 7396). A changed schedule holds from this answer on.

    A hook that is added, or is to verify otherwise, is a new one: a new URL and a new secret.
    Naming destinations that the trigger does not have yet takes the scope `destinations:read`, and
    no key that is limited to some triggers.
    """
    written = await lifecycle.change(session, hooks, key, body, by=principal)
    return await _answer(written, reader)


@router.delete(
    "/{trigger_id}",
    summary="Delete a trigger",
    operation_id="delete_trigger",
    dependencies=[WRITE],
    status_code=204,
    responses=problems(NotFound, Invalid),
)
async def delete_trigger(key: TriggerKeyDep, session: SessionDep, hooks: HooksDep) -> None:
    """It never fires again. Its past events stay until they are purged."""
    await lifecycle.delete(session, hooks, key)


@router.post(
    "/{trigger_id}/pause",
    summary="Pause a trigger",
    operation_id="pause_trigger",
    dependencies=[WRITE],
    responses=problems(NotFound, Conflict, Invalid),
)
async def pause_trigger(key: TriggerKeyDep, session: SessionDep, reader: ReaderDep) -> TriggerRead:
    """It neither fires by itself nor by calls until it is resumed."""
    return await reader.read(await lifecycle.pause(session, key))


@router.post(
    "/{trigger_id}/resume",
    summary="Resume a trigger",
    operation_id="resume_trigger",
    dependencies=[WRITE],
    responses=problems(NotFound, Conflict, Invalid),
)
async def resume_trigger(key: TriggerKeyDep, session: SessionDep, reader: ReaderDep) -> TriggerRead:
    """Plans from now on; instants that fell into the pause are not caught up."""
    return await reader.read(await lifecycle.resume(session, key))
