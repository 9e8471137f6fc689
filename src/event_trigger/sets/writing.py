"""Writes a plan in one transaction whose rows are locked already.

Rows are written some at a time, and the event loop is given back after each of them: planning one
takes up to a millisecond. The forecast has checked their payloads, off the event loop.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import RowChange, record_all
from event_trigger.db.shards import OwnedId
from event_trigger.destinations import editing as destination_editing
from event_trigger.destinations.lifecycle import new_destination
from event_trigger.destinations.repository import Destinations
from event_trigger.instants import just_after
from event_trigger.models import (
    Calendar,
    Destination,
    ScheduleVersion,
    Trigger,
    TriggerStatus,
    TriggerType,
    UnfiredReason,
    shard_of,
)
from event_trigger.notices.repository import keep_listeners
from event_trigger.sets.comparison import MemberKind, SetPlan, Update, Wanted
from event_trigger.sets.forecast import build_trigger
from event_trigger.sets.members import placing
from event_trigger.sets.repository.members import SetRows
from event_trigger.sets.state import Moved, in_slices
from event_trigger.triggers import lifecycle
from event_trigger.triggers.configuration import (
    Configuration,
    configuration_in,
    configuration_of,
)
from event_trigger.triggers.editing import rewrite
from event_trigger.triggers.hook_port import HookKeeper, HookSecrets, verify_in
from event_trigger.triggers.references import Resolver, ids_of
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule_changes import end, note_rules, schedule_before
from event_trigger.triggers.versions import NewUnfiredRange, ScheduleHistory, UnfiredRanges
from event_trigger.vault import Vault
from event_trigger.web.cpu_bound import taking_turns

ROWS_AT_ONCE = 50
_ROWS_A_STATEMENT = 250
_ENDED_AT_ONCE = 25  # of the event loop's time


@dataclass(frozen=True, slots=True)
class Locked:
    """The rows that a plan changes, and the ids of destinations by the names they are given.

    `resolver` has what the details of triggers need from elsewhere.
    """

    destinations: Mapping[int, Destination]
    triggers: Mapping[int, Trigger]
    named: dict[int | str, int]
    resolver: Resolver
    calendars: Mapping[int, Calendar]


@dataclass(frozen=True, slots=True)
class Written:
    """The rows that were created or changed, by key, and their secrets to show once."""

    destinations: dict[str, Destination] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    calendars: dict[str, Calendar] = field(default_factory=dict)
    hooks: dict[str, HookSecrets] = field(default_factory=dict)
    new_secrets: set[str] = field(default_factory=set)  # keys of destinations
    warnings: dict[str, list[str]] = field(default_factory=dict)  # by keys of destinations


@dataclass(frozen=True, slots=True)
class MemberWriter:
    """Writes the members of one set; `admin_id` is the caller's if that is an admin."""

    session: AsyncSession
    owner_id: int
    name: str
    vault: Vault
    hooks: HookKeeper
    now: datetime
    admin_id: int | None = None
    _noted_rules: set[str | None] = field(default_factory=lambda: {None})

    async def write(self, plan: SetPlan, locked: Locked, calendars: dict[str, Calendar]) -> Written:
        """Writes destinations before the triggers that name them, and removes them after those.

        `calendars` were written before, by their keys.
        """
        written = Written(calendars=calendars)
        destinations, triggers = plan.of(MemberKind.DESTINATION), plan.of(MemberKind.TRIGGER)
        await self._create_destinations(destinations.create, locked, written)
        for update in destinations.update:
            await self._update_destination(update, locked, written)
        await self._create_triggers(triggers.create, locked, written)
        await self._update_triggers(triggers.update, locked, written)
        await self._adopt(destinations.adopt, locked.destinations)
        await self._adopt(triggers.adopt, locked.triggers)
        ids = [one.id for one in triggers.remove]
        await remove_triggers(self.session, self.hooks, self.owner_id, ids, now=self.now)
        await self.remove_destinations([locked.destinations[one.id] for one in destinations.remove])
        return written

    async def _create_destinations(
        self, wanted: Sequence[Wanted], locked: Locked, written: Written
    ) -> None:
        for some in in_slices(wanted, ROWS_AT_ONCE):
            rows = [self._new_destination(one) async for one in taking_turns(some)]
            await self._add(rows)
            await Destinations(self.session).fence(self.owner_id, [row.id for row in rows])
            if hearing := [row for row in rows if row.notices]:
                await keep_listeners(self.session, hearing, admin_id=self.admin_id)
            for one, row in zip(some, rows, strict=True):
                written.destinations[one.key] = row
                if one.body.secret is None:
                    written.new_secrets.add(one.key)
                locked.named[one.key] = row.id

    def _new_destination(self, wanted: Wanted) -> Destination:
        with placing(MemberKind.DESTINATION, wanted.key):
            return new_destination(
                self.vault, self.owner_id, wanted.body, now=self.now, admin_id=self.admin_id
            )

    async def _create_triggers(
        self, wanted: Sequence[Wanted], locked: Locked, written: Written
    ) -> None:
        """Inserts triggers and their tags, some rows a statement."""
        for some in in_slices(wanted, ROWS_AT_ONCE):
            rows = [
                build_trigger(self.owner_id, one, now=self.now, is_checked=True)
                async for one in taking_turns(some)
            ]
            for one, row in zip(some, rows, strict=True):
                row.destinations = ids_of(one.body.destinations, locked.named)
                await self._note_rules(row)
            await self._add(rows)
            for one, row in zip(some, rows, strict=True):
                with placing(MemberKind.TRIGGER, one.key):
                    locked.resolver.plan_new([row])
            await Triggers(self.session).insert_tags(rows)
            for one, row in zip(some, rows, strict=True):
                written.triggers[one.key] = row
                await self._follow_hook(one, row, written, before={})

    async def _add(self, rows: Sequence[Destination] | Sequence[Trigger]) -> None:
        for row in rows:
            row.set_name = self.name
        self.session.add_all(rows)
        try:
            await self.session.flush()
        except IntegrityError as error:  # somebody has just given another row one of the keys
            raise Moved from error
        await asyncio.sleep(0)

    async def _update_destination(self, update: Update, locked: Locked, written: Written) -> None:
        key, row = update.wanted.key, locked.destinations[update.stored.id]
        with placing(MemberKind.DESTINATION, key):
            body = update.wanted.body
            done = await destination_editing.replace(
                self.session, self.vault, row, body, admin_id=self.admin_id
            )
        locked.named[key] = row.id  # the key may be new
        written.destinations[key] = done.destination
        written.warnings[key] = done.warnings
        if done.has_new_secret:
            written.new_secrets.add(key)

    async def _update_triggers(
        self, updates: Sequence[Update], locked: Locked, written: Written
    ) -> None:
        """Does what `editing.replace` does to one trigger, some rows a statement.

        Then pauses and resumes triggers as the file says.
        """
        for some in in_slices(updates, ROWS_AT_ONCE):
            before = {}
            async for update in taking_turns(some):
                row = locked.triggers[update.stored.id]
                before[row.id] = configuration_of(row)
                body = update.wanted.body
                wanted = configuration_in(body, ids_of(body.destinations, locked.named))
                with placing(MemberKind.TRIGGER, update.wanted.key):
                    await rewrite(
                        self.session, row, wanted, locked.resolver, now=self.now, is_checked=True
                    )
            await self.session.flush()
            async for update in taking_turns(some):
                row = locked.triggers[update.stored.id]
                await self._follow_change(update.wanted, row, before[row.id], written)
                await self._follow_status(row, update.wanted.status)
                written.triggers[update.wanted.key] = row

    async def _follow_change(
        self, wanted: Wanted, trigger: Trigger, before: Configuration, written: Written
    ) -> None:
        await self._note_rules(trigger)
        await self._follow_hook(wanted, trigger, written, before=before.details)
        if trigger.tags != before.tags:
            await Triggers(self.session).retag(trigger, before.tags)

    async def _follow_status(self, trigger: Trigger, wanted: TriggerStatus | None) -> None:
        key = OwnedId(self.owner_id, trigger.id)
        if wanted == TriggerStatus.PAUSED and trigger.status == TriggerStatus.ACTIVE:
            await lifecycle.pause(self.session, key)
        if wanted == TriggerStatus.ACTIVE and trigger.status == TriggerStatus.PAUSED:
            await lifecycle.resume(self.session, key)

    async def _note_rules(self, trigger: Trigger) -> None:
        """Records the rules of each zone once."""
        if trigger.zone_rules not in self._noted_rules:
            await note_rules(self.session, trigger)
            self._noted_rules.add(trigger.zone_rules)

    async def _follow_hook(
        self, wanted: Wanted, trigger: Trigger, written: Written, *, before: Mapping[str, Any]
    ) -> None:
        given = wanted.body.details.given_secret
        made = await self.hooks.follow_details(self.session, trigger, before=before, given=given)
        if made is not None:
            written.hooks[wanted.key] = made

    async def _adopt(
        self, adopted: Iterable[Update], rows: Mapping[int, Destination] | Mapping[int, Trigger]
    ) -> None:
        for update in adopted:
            rows[update.stored.id].set_name = self.name
        await self.session.flush()

    async def remove_destinations(self, rows: Iterable[Destination]) -> None:
        """Deletes locked destinations that no trigger names any more."""
        removed = [*rows]
        for row in removed:
            row.deleted_at = self.now
            row.disabled_reason = None  # so that workers find its queued deliveries
            row.updated_at = max(self.now, just_after(row.updated_at))
        await self.session.flush()
        if deaf := [row for row in removed if row.notices]:
            await keep_listeners(self.session, deaf, admin_id=None)


async def remove_triggers(
    session: AsyncSession, hooks: HookKeeper, owner_id: int, ids: Sequence[int], *, now: datetime
) -> None:
    """Ends the schedules and deletes the triggers; records of their past stay as their events do.

    The entries in the audit log are those of single deletions.
    """
    rows = SetRows(session, owner_id)
    for some in in_slices(ids, _ROWS_A_STATEMENT):
        triggers = await rows.read_detached(some)
        entries = [RowChange(one.id, _audited(one), {}) for one in triggers]
        await _end_schedules(session, shard_of(owner_id), triggers, now=now)
        if hooked := [one.id for one in triggers if verify_in(one.details) is not None]:
            await hooks.delete(session, *hooked)
        await rows.delete_triggers(some)
        await rows.delete_tags(some, sorted({tag for one in triggers for tag in one.tags}))
        await record_all(session, Trigger.audited_as, entries, project_id=owner_id)


async def _end_schedules(
    session: AsyncSession, shard: int, triggers: Iterable[Trigger], *, now: datetime
) -> None:
    versions, unfired = list[ScheduleVersion](), list[NewUnfiredRange]()
    for place, trigger in enumerate(triggers):
        if place % _ENDED_AT_ONCE == 0:
            await asyncio.sleep(0)
        if trigger.type == TriggerType.SCHEDULED:
            old = schedule_before(trigger)
            version, due = end(trigger, old, UnfiredReason.DELETED, now=now)
            versions.append(version)
            unfired += [] if due is None else [due]
    await UnfiredRanges(session).record(shard, unfired)
    await ScheduleHistory(session).record_version(*versions)


def _audited(trigger: Trigger) -> dict[str, object]:
    values = {name: getattr(trigger, name) for name in Trigger.audited}
    return {name: value for name, value in values.items() if value is not None}
