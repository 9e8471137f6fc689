"""HTTP operations on sets: a file is planned, applied, read back and deleted as a whole."""

from functools import partial
from typing import Annotated, Any

from fastapi import Body, Depends, Header, Path, Query, Request, Response
from fastapi.openapi.models import Example

from event_trigger.auth.dependencies import EXPENSIVE, UNLIMITED, PrincipalDep, needs
from event_trigger.auth.scopes import Scope
from event_trigger.calendars.lifecycle import CalendarInUse
from event_trigger.destinations.dependencies import FormCheckDep, VaultDep
from event_trigger.destinations.hearing import admin_id_of
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.sets import lifecycle
from event_trigger.sets.answers import PlanWriter, summaries_of
from event_trigger.sets.applying import DestinationInUse, FormChecks, SetParts
from event_trigger.sets.comparison import OwnedElsewhere
from event_trigger.sets.members import NOTHING, read_members
from event_trigger.sets.planning import SetRequest
from event_trigger.sets.repository.sets import Sets
from event_trigger.sets.schemas import SetContent, SetPlanRead, SetSummary
from event_trigger.sets.state import SetTooLarge, read_state, show
from event_trigger.triggers.dependencies import PortsDep
from event_trigger.web.cpu_bound import CpuBoundDep, TooManyExpensiveCalls
from event_trigger.web.dependencies import SessionDep, SessionsDep, SettingsDep
from event_trigger.web.entity_tags import (
    NOT_MODIFIED,
    TAGGED,
    ChangingDep,
    PreconditionFailed,
    Preconditions,
    ReadingDep,
    not_modified,
)
from event_trigger.web.keys import Key
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.request_head import base_url
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/sets",
    tags=["sets"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[UNLIMITED],
)
SetName = Annotated[Key, Path(description="The name of the set.", examples=["billing"])]
_READS = (Scope.TRIGGERS_READ, Scope.DESTINATIONS_READ)
READ = needs(*_READS)
WRITE = needs(*_READS, Scope.TRIGGERS_WRITE, Scope.DESTINATIONS_WRITE)
_SHOWN_AS_SENT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SetContent"}}},
        **TAGGED[200],
    }
}
SET_EXAMPLES: dict[str, Example] = {
    "a trigger and its destination": {
        "value": {
            "destinations": {"billing-crm": {"url": "https://example.com/hook"}},
            "triggers": {
                "billing-report": {
                    "type": "scheduled",
                    "details": {"cron": "30 2 * * mon-fri", "timezone": "Europe/Berlin"},
                    "destinations": ["billing-crm"],
                }
            },
        }
    },
}


async def get_set_parts(
    sessions: SessionsDep,
    vault: VaultDep,
    ports: PortsDep,
    cpu_bound: CpuBoundDep,
    form_check: FormCheckDep,
    settings: SettingsDep,
) -> SetParts:
    return SetParts(
        sessions,
        vault,
        ports,
        cpu_bound,
        FormChecks(form_check),
        max_triggers=settings.max_triggers,
        max_destinations=settings.max_destinations,
        max_calendars=settings.max_calendars,
    )


async def get_hooks_url(request: Request) -> str:
    return f"{base_url(request)}/hooks/"


SetPartsDep = Annotated[SetParts, Depends(get_set_parts)]
HooksUrlDep = Annotated[str, Depends(get_hooks_url)]


@router.put(
    "/{name}",
    summary="Plan or apply a set",
    operation_id="put_set",
    dependencies=[WRITE, EXPENSIVE],
    response_model=SetPlanRead,
    responses=problems(
        CalendarInUse,
        lifecycle.UnseenPrune,
        OwnedElsewhere,
        lifecycle.StalePlan,
        UnsupportedMediaType,
        TooManyExpensiveCalls,
    ),
)
async def put_set(
    name: SetName,
    body: Annotated[SetContent, Body(openapi_examples=SET_EXAMPLES)],
    principal: PrincipalDep,
    parts: SetPartsDep,
    hooks_url: HooksUrlDep,
    dry_run: Annotated[
        bool, Query(description="Answers with the plan, and changes nothing.")
    ] = False,
    prune: Annotated[
        bool, Query(description="Removes members of the set that the body does not have.")
    ] = False,
    if_match: Annotated[
        str | None,
        Header(
            description="The `digest` of a dry run, in quotes: applies that plan, or none (412).",
            examples=['"9f86d081884c7d65"'],
        ),
    ] = None,
) -> Response:
    """Makes the members of a set as the body has them: all of it, or nothing.

    Keys in the body name members; triggers may name destinations and calendars of the same body. An
    absent field means its default, except `status`: without it, people may pause and resume a
    trigger. Members that already are as the body has them are left alone, with the phase of their
    schedules. With `prune`, members that the body does not have are removed; without it they stay,
    and stay the set's.

    `moved` renames members. A prune of more than half of the set needs the digest of its plan.

    A key that another set owns is a 409, and so is one that was made by hand and differs; one that
    is the same becomes the set's. Secrets that this makes are in the answer, and not shown again.
    """
    members = await parts.cpu_bound.compute(partial(read_members, body))
    admin_id = admin_id_of(principal)
    request = SetRequest(principal.one_project_id, name, members, prune=prune, admin_id=admin_id)
    outcome = await lifecycle.put(
        parts, request, by=principal, expected=Preconditions(if_match), dry_run=dry_run
    )
    may_fire = Scope.TRIGGERS_FIRE in principal.scopes
    writer = PlanWriter(outcome, parts.vault, hooks_url if may_fire else None)
    text = await parts.cpu_bound.compute(writer.as_json)
    return Response(text, media_type="application/json")


@router.get("", summary="List sets", operation_id="list_sets", dependencies=[READ])
async def list_sets(
    principal: PrincipalDep, session: SessionDep, paging: PageQueryDep
) -> list[SetSummary]:
    """Lists sets, newest first, with the numbers of their members."""
    page = await Sets(session).list_page(
        principal.project_id, before=paging.before_id(), limit=paging.limit
    )
    return await summaries_of(session, paging.rows_of(page, lambda row: row.id))


@router.get(
    "/{name}",
    summary="Read a set",
    operation_id="get_set",
    dependencies=[READ, EXPENSIVE],
    responses={**_SHOWN_AS_SENT, **NOT_MODIFIED, **problems(SetTooLarge, TooManyExpensiveCalls)},
)
async def get_set(
    name: SetName, principal: PrincipalDep, parts: SetPartsDep, reading: ReadingDep
) -> Response:
    """Returns the set in the form that `PUT` takes; putting it back changes nothing.

    Header values are shown as stars, which stand for the stored ones. Only paused triggers have a
    `status`.
    """
    async with parts.sessions() as session:
        state = await read_state(
            session, parts.ports.hooks, principal.one_project_id, name, NOTHING
        )
    if state.set_id is None:
        raise NotFound
    shown = await parts.cpu_bound.compute(partial(show, state))
    if reading.is_unmodified(shown.etag):
        return not_modified(shown.etag)
    return Response(shown.json, media_type="application/json", headers={"ETag": shown.etag})


@router.delete(
    "/{name}",
    summary="Delete a set",
    operation_id="delete_set",
    dependencies=[WRITE, EXPENSIVE],
    status_code=204,
    responses=problems(CalendarInUse, DestinationInUse, PreconditionFailed, TooManyExpensiveCalls),
)
async def delete_set(
    name: SetName, principal: PrincipalDep, parts: SetPartsDep, changing: ChangingDep
) -> None:
    """Deletes the set with all triggers, destinations and calendars that it owns.

    Answers 409 if other triggers still name one of its destinations or calendars.
    """
    await lifecycle.delete(parts, principal.one_project_id, name, expected=changing)
