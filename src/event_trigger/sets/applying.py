"""Applies the plan of a set, and deletes sets, in one transaction under the project's lock."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Self

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.memberships import lock_project
from event_trigger.calendars.repository import CalendarUsers
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.form_check import FormCheck
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.lifecycle import TooManyDestinations
from event_trigger.destinations.repository import Destinations
from event_trigger.errors import Conflict, FieldError, Invalid, NotFound
from event_trigger.models import Destination, Trigger
from event_trigger.sets.calendars import CalendarWriter, users_of_changed
from event_trigger.sets.calendars import check_room as check_calendar_room
from event_trigger.sets.calendars import check_unused as check_unused_calendars
from event_trigger.sets.comparison import MemberKind, SetPlan, Wanted
from event_trigger.sets.members import NOTHING, details_of, placed, raise_all
from event_trigger.sets.planning import SetRequest
from event_trigger.sets.repository.members import SetRows
from event_trigger.sets.repository.sets import SetCalendars, Sets
from event_trigger.sets.state import Moved, SetState, in_slices, read_state
from event_trigger.sets.writing import Locked, MemberWriter, Written, remove_triggers
from event_trigger.triggers.lifecycle import TooManyTriggers
from event_trigger.triggers.references import Calendars, TriggerPorts, lock_named, resolver_for
from event_trigger.triggers.repository import Triggers, announce
from event_trigger.vault import Vault
from event_trigger.web.cpu_bound import CpuBound

_CHECKED_AT_ONCE = 100
_ROWS_LOCKED_AT_ONCE = 500
_MOST_NAMED_TRIGGERS = 10


@dataclass(frozen=True, slots=True)
class FormChecks:
    """Looks up hosts and tries templates, each form once a request, without a connection."""

    form_check: FormCheck
    _allowed: set[RequestForm] = field(default_factory=set)

    async def check(self, plan: SetPlan, *, owner_id: int) -> None:
        """Checks new and changed forms; raises Invalid with their places in the file."""
        destinations = plan.of(MemberKind.DESTINATION)
        new: list[tuple[Wanted, RequestForm | None]] = [(one, None) for one in destinations.create]
        new += [(one.wanted, one.stored.form) for one in destinations.update]
        errors: list[FieldError] = []
        for some in in_slices(new, _CHECKED_AT_ONCE):
            for found in await asyncio.gather(
                *(self._refusals(*one, owner_id=owner_id) for one in some)
            ):
                errors += found
        raise_all(errors)

    async def _refusals(
        self, wanted: Wanted, known: RequestForm | None, *, owner_id: int
    ) -> list[FieldError]:
        form = RequestForm.of(wanted.body)
        if form == known or form in self._allowed:
            return []
        try:
            await self.form_check.check(form, owner_id=owner_id, known=known)
        except Invalid as refused:
            return [placed(one, MemberKind.DESTINATION, wanted.key) for one in refused.errors]
        self._allowed.add(form)
        return []


class DestinationInUse(Conflict):
    slug, title = "destination-in-use", "A destination is still in use"

    def __init__(self, trigger_ids: Collection[int]) -> None:
        super().__init__(
            "Other triggers still name a destination that would be removed, such as those with the"
            f" ids {', '.join(map(str, trigger_ids))}. Take it from them first, or keep it in the"
            " file."
        )

    @classmethod
    def example(cls) -> Self:
        return cls([7])


@dataclass(frozen=True, slots=True)
class SetParts:
    """The parts of the process that sets need."""

    sessions: Sessions
    vault: Vault
    ports: TriggerPorts
    cpu_bound: CpuBound
    forms: FormChecks
    max_triggers: int
    max_destinations: int
    max_calendars: int


async def apply(
    session: AsyncSession,
    parts: SetParts,
    request: SetRequest,
    state: SetState,
    plan: SetPlan,
) -> Written:
    """Locks the project, then destinations, calendars and triggers; raises Moved."""
    owner_id, rows = request.owner_id, SetRows(session, request.owner_id)
    await lock_project(session, owner_id)
    locked = await _lock(rows, parts.ports.calendars, state, plan)
    if (
        await read_state(session, parts.ports.hooks, owner_id, request.name, request.members)
        != state
    ):
        raise Moved
    await check_unused(rows, request, state, plan)
    await _check_room(session, parts, owner_id, plan)
    now = await database_now(session)
    calendars = CalendarWriter(session, owner_id, request.name, now)
    made = await calendars.write(plan, locked.calendars)
    locked = await _read_again(rows, parts.ports.calendars, plan, locked)
    writer = MemberWriter(
        session,
        owner_id,
        request.name,
        parts.vault,
        parts.ports.hooks,
        now,
        request.admin_id,
    )
    written = await writer.write(plan, locked, made)
    gone = plan.of(MemberKind.CALENDAR).remove
    await calendars.remove([locked.calendars[one.id] for one in gone])
    if plan.forget:
        await rows.forget_finished(request.name, plan.forget)
    for before, after in plan.renamed_done:
        await rows.rename_finished(request.name, before, after)
    set_id = await Sets(session).put(owner_id, request.name, at=now)
    await record(session, "set", set_id, after=_counts(request, plan), project_id=owner_id)
    changed = {one.id for one in written.triggers.values()}
    changed |= {one.id for one in plan.of(MemberKind.TRIGGER).remove}
    await announce(session, *(OwnedId(owner_id, one) for one in sorted(changed)))
    await notify(session, DELIVERIES_CHANGED)
    return written


async def _lock(rows: SetRows, calendars: Calendars, state: SetState, plan: SetPlan) -> Locked:
    """Locks the rows that the plan changes, and those that it names, in the order of ids.

    Destinations that it only names are locked against deletion alone, as `lock_named` does it.
    """
    destinations, triggers = plan.of(MemberKind.DESTINATION), plan.of(MemberKind.TRIGGER)
    named = {name for one in triggers.wanted for name in one.body.destinations}
    ids = {state.named[name] for name in named if name in state.named}
    locked_destinations: dict[int, Destination] = {}
    changed = destinations.stored_ids
    for is_changed, run in groupby(sorted(ids | changed), key=changed.__contains__):
        for some in in_slices([*run], _ROWS_LOCKED_AT_ONCE):
            if is_changed:
                locked_destinations |= await rows.lock_destinations(some)
            else:
                await lock_named(rows.session, rows.owner_id, some)
    own = plan.of(MemberKind.CALENDAR).stored_ids
    locked_calendars = await SetCalendars(rows.session, rows.owner_id).lock(sorted(own))
    resolver = await resolver_for(rows.session, calendars, rows.owner_id, details_of(plan))
    locked_triggers: dict[int, Trigger] = {}
    users = await users_of_changed(rows.session, rows.owner_id, plan)
    changed = triggers.stored_ids
    for is_changed, run in groupby(sorted(users | changed), key=changed.__contains__):
        for some in in_slices([*run], _ROWS_LOCKED_AT_ONCE):
            if is_changed:
                locked_triggers |= await rows.lock_triggers(some)
            else:
                await CalendarUsers(rows.session, rows.owner_id).lock(some)
    return Locked(
        locked_destinations, locked_triggers, dict(state.named), resolver, locked_calendars
    )


async def _read_again(rows: SetRows, calendars: Calendars, plan: SetPlan, locked: Locked) -> Locked:
    """Reads the locked triggers, and days, as calendars that have just been written leave them."""
    written = plan.of(MemberKind.CALENDAR)
    if not [*written.wanted]:
        return locked
    resolver = await resolver_for(
        rows.session, calendars, rows.owner_id, details_of(plan), lock=False
    )
    triggers: dict[int, Trigger] = {}
    for some in in_slices([*locked.triggers] if written.update else [], _ROWS_LOCKED_AT_ONCE):
        triggers |= await rows.lock_triggers(some)
    return replace(locked, triggers=triggers or locked.triggers, resolver=resolver)


async def _check_room(session: AsyncSession, parts: SetParts, owner_id: int, plan: SetPlan) -> None:
    """Counts existing rows under the project's lock, before anything is created."""
    triggers, destinations = plan.of(MemberKind.TRIGGER), plan.of(MemberKind.DESTINATION)
    if (most := parts.max_triggers) and triggers.growth > 0:
        used = await Triggers(session).count_of(owner_id)
        if used + triggers.growth > most:
            raise TooManyTriggers(used=used, most=most)
    if (most := parts.max_destinations) and destinations.growth > 0:
        used = await Destinations(session).count_of(owner_id)
        if used + destinations.growth > most:
            raise TooManyDestinations(used=used, most=most)
    growth = plan.of(MemberKind.CALENDAR).growth
    await check_calendar_room(session, owner_id, growth, most=parts.max_calendars)


def _counts(request: SetRequest, plan: SetPlan) -> dict[str, object]:
    return {
        "name": request.name,
        "created": len(plan.create),
        "updated": len(plan.update),
        "adopted": len(plan.adopt),
        "removed": len(plan.remove),
    }


async def delete_all(
    session: AsyncSession, parts: SetParts, owner_id: int, name: str, *, state: SetState | None
) -> None:
    """Locks as `apply` does; raises Moved if there is a `state`, and the set has another one."""
    await lock_project(session, owner_id)
    rows, found = SetRows(session, owner_id), await Sets(session).get(owner_id, name)
    if found is None:
        raise NotFound
    destinations = await rows.lock_destinations_of(name)
    calendars = await SetCalendars(session, owner_id).lock_all_of(name)
    trigger_ids = await rows.lock_trigger_ids(name)
    if (
        state is not None
        and await read_state(session, parts.ports.hooks, owner_id, name, NOTHING) != state
    ):
        raise Moved
    if users := await rows.list_users_of(
        [one.id for one in destinations], but=trigger_ids, limit=_MOST_NAMED_TRIGGERS
    ):
        raise DestinationInUse(users)
    await check_unused_calendars(session, owner_id, [one.key for one in calendars], but=trigger_ids)
    now = await database_now(session)
    writer = MemberWriter(session, owner_id, name, parts.vault, parts.ports.hooks, now)
    await remove_triggers(session, parts.ports.hooks, owner_id, trigger_ids, now=now)
    await writer.remove_destinations(destinations)
    await CalendarWriter(session, owner_id, name, now).remove(calendars)
    await rows.forget_finished(name)
    await Sets(session).delete(OwnedId(owner_id, found.id))
    before = {
        "name": name,
        "triggers": len(trigger_ids),
        "destinations": len(destinations),
        "calendars": len(calendars),
    }
    await record(session, "set", found.id, before=before, after={}, project_id=owner_id)
    await announce(session, *(OwnedId(owner_id, one) for one in trigger_ids))
    await notify(session, DELIVERIES_CHANGED)


async def check_unused(rows: SetRows, request: SetRequest, state: SetState, plan: SetPlan) -> None:
    """Raises DestinationInUse or CalendarInUse if others name a member that would be removed."""
    own = [one.id for one in state.triggers.values() if one.key in request.members.triggers]
    own += plan.of(MemberKind.TRIGGER).stored_ids  # also those that get another key
    calendars = [one.key for one in plan.of(MemberKind.CALENDAR).remove]
    await check_unused_calendars(rows.session, rows.owner_id, calendars, but=own)
    removed = [one.id for one in plan.of(MemberKind.DESTINATION).remove]
    if not removed:
        return
    if users := await rows.list_users_of(removed, but=own, limit=_MOST_NAMED_TRIGGERS):
        raise DestinationInUse(users)
