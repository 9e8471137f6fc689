"""HTTP operations on triggers that are named by their key: as by id, and PUT creates, too."""

from typing import Annotated

from fastapi import Body, Response

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.triggers import editing, lifecycle
from event_trigger.triggers.dependencies import HooksDep, PortsDep, ReaderDep, TriggerByKeyDep
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.router import OPERATE, READ, REPLACE_EXAMPLES, WRITE
from event_trigger.triggers.schemas.requests import TriggerReplace
from event_trigger.triggers.schemas.responses import TriggerRead, TriggerWritten
from event_trigger.web.dependencies import SessionDep, SettingsDep
from event_trigger.web.entity_tags import (
    NOT_MODIFIED,
    TAGGED,
    ChangingDep,
    PreconditionFailed,
    PuttingDep,
    ReadingDep,
)
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.schemas import PathKey
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/triggers/by-key/{key}",
    tags=["triggers"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
)

_CREATED = with_headers(201, "Location", "ETag")[201]


@router.get(
    "",
    summary="Read the trigger with a key",
    operation_id="get_trigger_by_key",
    dependencies=[READ],
    response_model=TriggerRead,
    responses=TAGGED | NOT_MODIFIED,
)
async def get_trigger_by_key(
    trigger: TriggerByKeyDep, session: SessionDep, reader: ReaderDep, reading: ReadingDep
) -> TriggerRead | Response:
    """Returns the trigger, as `GET /triggers/{trigger_id}` does."""
    found = await Triggers(session).get(trigger)
    if found is None:
        raise NotFound
    return await reader.read_unless_known(found, reading)


@router.put(
    "",
    summary="Create or replace the trigger with a key",
    operation_id="put_trigger_by_key",
    dependencies=[WRITE],
    responses={
        **problems(editing.OtherType, PreconditionFailed, UnsupportedMediaType),
        **TAGGED,
        201: {"model": TriggerWritten, "description": "It was created.", **_CREATED},
    },
)
async def put_trigger_by_key(
    body: Annotated[TriggerReplace, Body(openapi_examples=REPLACE_EXAMPLES)],
    key: PathKey,
    principal: PrincipalDep,
    session: SessionDep,
    ports: PortsDep,
    reader: ReaderDep,
    settings: SettingsDep,
    putting: PuttingDep,
    response: Response,
) -> TriggerWritten:
    """Creates the trigger (201), or gives it another configuration (200).

    Absent fields mean their default, but the status stays. The same content again changes nothing:
    neither the schedule's phase nor the hook. So a deployment may send it every time. Of two calls
    with a new key, one creates, and the other replaces. The type stays; another one is a 409.
    """
    put = await lifecycle.put(
        session,
        ports,
        principal,
        key,
        body,
        most=settings.max_triggers,
        check=reader.checking(putting, body),
    )
    if put.is_new:
        response.status_code = 201
        response.headers["Location"] = f"/triggers/{put.trigger.id}"
    return await reader.read_written(put.trigger, put.hook)


@router.delete(
    "",
    summary="Delete the trigger with a key",
    operation_id="delete_trigger_by_key",
    dependencies=[WRITE],
    status_code=204,
    responses=problems(PreconditionFailed),
)
async def delete_trigger_by_key(
    key: PathKey,
    trigger: TriggerByKeyDep,
    session: SessionDep,
    hooks: HooksDep,
    reader: ReaderDep,
    changing: ChangingDep,
) -> None:
    """Deletes the trigger. Its past events stay, and its key is free."""
    await lifecycle.delete(session, hooks, trigger, named=key, check=reader.checking(changing))


@router.post(
    "/pause",
    summary="Pause the trigger with a key",
    operation_id="pause_trigger_by_key",
    dependencies=[OPERATE],
    responses=problems(lifecycle.AlreadyCompleted) | TAGGED,
)
async def pause_trigger_by_key(
    key: PathKey, trigger: TriggerByKeyDep, session: SessionDep, reader: ReaderDep
) -> TriggerRead:
    """Stops the trigger from firing, as `POST /triggers/{trigger_id}/pause` does."""
    return await reader.read(await lifecycle.pause(session, trigger, named=key))


@router.post(
    "/resume",
    summary="Resume the trigger with a key",
    operation_id="resume_trigger_by_key",
    dependencies=[OPERATE],
    responses=problems(lifecycle.AlreadyCompleted) | TAGGED,
)
async def resume_trigger_by_key(
    key: PathKey, trigger: TriggerByKeyDep, session: SessionDep, reader: ReaderDep
) -> TriggerRead:
    """Resumes the trigger, as `POST /triggers/{trigger_id}/resume` does."""
    resumed = await lifecycle.resume(session, trigger, named=key)
    return await reader.read_resumed(resumed.trigger, resumed.in_pause)
