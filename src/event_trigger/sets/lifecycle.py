"""Plans, applies and deletes sets: a plan is made without locks, and applied if nothing has moved.

A plan of thousands of members takes a second to make. So it is made from one reading of the state,
off the event loop and without a connection, and the state is read again under the locks.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from sqlalchemy.exc import DBAPIError

from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import MissingScope, Scope
from event_trigger.db.clock import database_now
from event_trigger.db.engine import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, sqlstate
from event_trigger.destinations.hearing import admin_id_of, check_hearing
from event_trigger.errors import Conflict, NotFound, Problem, pointer
from event_trigger.models import Trigger
from event_trigger.sets.applying import SetParts, apply, check_unused, delete_all
from event_trigger.sets.calendars import check_room, days_after, growth_of, users_of_changed
from event_trigger.sets.comparison import MemberKind, SetPlan
from event_trigger.sets.forecast import Forecast, StoredTriggers, forecast
from event_trigger.sets.members import NOTHING, details_of, placing
from event_trigger.sets.planning import SetRequest, plan_set
from event_trigger.sets.repository.members import ROWS_PER_STATEMENT, SetRows
from event_trigger.sets.state import Moved, SetState, in_slices, read_state, show
from event_trigger.sets.writing import Written
from event_trigger.triggers.references import resolver_for
from event_trigger.web.entity_tags import NotThere, PreconditionFailed, Preconditions

_TRIES = 5
_OTHER_TRANSACTION_WON = {LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED}


class StalePlan(Problem):
    status, slug, title = 412, "plan-stale", "The plan is stale"
    default_detail = (
        "Something has moved since the plan with this digest was made, or the file or prune is"
        " another. Nothing was changed. Plan again with dry_run=true, and send the digest of that"
        " plan in If-Match, in quotes."
    )


class UnquotedDigest(StalePlan):
    default_detail = (
        "If-Match names no plan: write its digest in quotes. Nothing was compared or changed."
    )


class UnseenPrune(Conflict):
    slug, title = "prune-unseen", "The prune would remove more than half of the set"

    def __init__(self, *, removed: int, owned: int) -> None:
        super().__init__(
            f"This would remove {removed} of the {owned} members of the set, and no plan was named,"
            " so nothing was changed. Plan with dry_run=true and, if that is what you want, send"
            " the digest of the plan in If-Match, in quotes."
        )

    @classmethod
    def example(cls) -> Self:
        return cls(removed=9, owned=12)


class SetBusy(Conflict):
    slug, title = "set-busy", "The set is being changed"
    default_detail = (
        "Members of this set are being changed by others all the time, or by a large change that"
        " has not ended yet. Nothing was changed. Try again."
    )

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """A plan with what it leads to and, if it was applied, the rows that it has written."""

    forecast: Forecast
    written: Written | None


async def put(
    parts: SetParts, request: SetRequest, *, by: Principal, expected: Preconditions, dry_run: bool
) -> Outcome:
    """Plans a set and, unless it is a dry run, applies the plan: all of it, or nothing.

    1. Reads the state, and plans without a connection. Refuses a plan that the caller has not seen.
    2. Looks up the hosts of new URLs, and tries new templates, without a connection.
    3. Locks the rows of the plan, and reads the state again. If it has moved, starts again.
    4. Writes and commits.
    """
    for _ in range(_TRIES):
        state, found = await _prepare(parts, request, expected, dry_run=dry_run)
        await parts.forms.check(found.plan, owner_id=request.owner_id)
        _check_rights(by, found.plan)
        if not dry_run:
            _check_prune(expected, found.plan)
        if dry_run or (found.plan.is_empty and state.set_id is not None):
            return Outcome(found, None)
        try:
            async with parts.sessions.begin() as session:
                written = await apply(session, parts, request, state, found.plan)
        except Moved:
            continue
        except DBAPIError as error:
            if sqlstate(error) in _OTHER_TRANSACTION_WON:
                raise SetBusy from None
            raise
        return Outcome(found, written)
    raise SetBusy


async def _prepare(
    parts: SetParts, request: SetRequest, expected: Preconditions, *, dry_run: bool
) -> tuple[SetState, Forecast]:
    async with parts.sessions() as session:
        state = await read_state(
            session, parts.ports.hooks, request.owner_id, request.name, request.members
        )
        now = await database_now(session)
        members, stored = request.members, state.calendars.values()
        growth = growth_of(members, stored, request.name, prune=request.prune)
        await check_room(session, request.owner_id, growth, most=parts.max_calendars)
    planning = partial(plan_set, request, state, parts.vault, year=now.year)
    plan = await parts.cpu_bound.compute(planning)
    _check_expected(expected, state, plan)
    async with parts.sessions() as session:
        rows = SetRows(session, request.owner_id)
        await check_unused(rows, request, state, plan)
        triggers = await _read_stored(rows, plan, dry_run=dry_run)
        calendars = parts.ports.calendars
        details = [*details_of(plan), *(one.details for one in triggers.calendar_users)]
        resolver = await resolver_for(session, calendars, request.owner_id, details, lock=False)
    resolver = replace(resolver, days={**resolver.days, **days_after(plan)})
    computing = partial(forecast, plan, request.owner_id, triggers, resolver, now=now)
    return state, await parts.cpu_bound.compute(computing)


async def _read_stored(rows: SetRows, plan: SetPlan, *, dry_run: bool) -> StoredTriggers:
    """Reads the triggers whose next instant the plan may move; a real run writes the updated."""
    triggers = plan.of(MemberKind.TRIGGER)
    changed = {one.stored.id for one in triggers.update}
    removed = {one.id for one in triggers.remove}
    users = await users_of_changed(rows.session, rows.owner_id, plan) - changed - removed
    others: list[Trigger] = []
    for some in in_slices(sorted(users), ROWS_PER_STATEMENT):
        others += await rows.read_detached(some)
    updated = await rows.get_triggers([*changed]) if dry_run else {}
    return StoredTriggers(updated, others)


def _check_expected(expected: Preconditions, state: SetState, plan: SetPlan) -> None:
    """Requires the plan that the caller has seen, or a set that is there if that is `*`."""
    if expected.is_of_any and state.set_id is None:
        raise NotThere
    if expected.names_nothing:
        raise UnquotedDigest
    if not any(_is_met(expected, digest) for digest in plan.digests):
        raise StalePlan


def _check_prune(expected: Preconditions, plan: SetPlan) -> None:
    """Requires that a caller who would remove more than half of a set has seen the plan."""
    if plan.removes_most and not any(expected.has(f'"{digest}"') for digest in plan.digests):
        raise UnseenPrune(removed=len(plan.remove), owned=plan.owned)


def _is_met(expected: Preconditions, digest: str) -> bool:
    try:
        expected.check(f'"{digest}"')
    except PreconditionFailed:
        return False
    return True


def _check_rights(by: Principal, plan: SetPlan) -> None:
    """Requires the scopes that a plan needs: it may pause triggers, or let one hear of projects."""
    changes = (
        change.pointer == pointer(*update.wanted.place, "status")
        for update in plan.of(MemberKind.TRIGGER).update
        for change in update.changes
    )
    if Scope.TRIGGERS_FIRE not in by.scopes and any(changes):
        raise MissingScope([Scope.TRIGGERS_FIRE], "Pausing or resuming a trigger")
    destinations = plan.of(MemberKind.DESTINATION)
    for one in (*destinations.create, *(update.wanted for update in destinations.update)):
        with placing(MemberKind.DESTINATION, one.key):
            check_hearing(
                {"notices": one.body.notices, "all_projects": one.body.all_projects},
                admin_id_of(by),
            )


async def delete(parts: SetParts, owner_id: int, name: str, *, expected: Preconditions) -> None:
    """Deletes a set with all that it owns.

    If the caller expects a content, reads it without locks, and again under them. Raises NotFound,
    PreconditionFailed, DestinationInUse or SetBusy.
    """
    for _ in range(_TRIES):
        state = None
        if expected.if_match is not None:
            state = await _read_expected(parts, owner_id, name, expected)
        try:
            async with parts.sessions.begin() as session:
                await delete_all(session, parts, owner_id, name, state=state)
        except Moved:
            continue
        except DBAPIError as error:
            if sqlstate(error) in _OTHER_TRANSACTION_WON:
                raise SetBusy from None
            raise
        return
    raise SetBusy


async def _read_expected(
    parts: SetParts, owner_id: int, name: str, expected: Preconditions
) -> SetState:
    async with parts.sessions() as session:
        state = await read_state(session, parts.ports.hooks, owner_id, name, NOTHING)
    if state.set_id is None:
        raise NotFound
    shown = await parts.cpu_bound.compute(partial(show, state))
    expected.check(shown.etag)
    return state
