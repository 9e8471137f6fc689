"""Applies an action to up to 10,000 triggers of one project, in one transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.actions.schemas import MOST_ROWS, TooManyMatched
from event_trigger.actions.triggers.changes import (
    Change,
    Delete,
    Pause,
    Resume,
    SetDestinations,
    Tag,
    Untag,
)
from event_trigger.actions.triggers.repository import ManyTriggers
from event_trigger.actions.triggers.schemas import TriggerAction, TriggerActions
from event_trigger.audit.recorder import RowChange, record_all
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import MissingScope
from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Problem
from event_trigger.events.source import EventSource
from event_trigger.firing.fire import Call
from event_trigger.firing.fire_batch import fire_batch
from event_trigger.firing.rate_limits import RateLimits, name_of
from event_trigger.models import Trigger
from event_trigger.triggers.filters import TriggerFilter
from event_trigger.triggers.hook_port import HookKeeper
from event_trigger.triggers.lists import TriggersById, filter_of
from event_trigger.triggers.references import check_may_name, ids_of, lock_named
from event_trigger.triggers.repository import announce

_TRIGGERS_PER_STATEMENT = 250
_TRIGGERS_PER_SLICE = 25  # of the event loop: planning one takes up to 0.1 ms


@dataclass(slots=True)
class Applied:
    """The triggers that an action was applied to, those that it changed, and the problems."""

    found: Sequence[int]
    changed: list[int] = field(default_factory=list)
    failed: dict[int, Problem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ManyTriggersAction:
    """Applies actions for one caller, the `source`; `hops` counts the deliveries that led to it."""

    session: AsyncSession
    hooks: HookKeeper
    rate_limits: RateLimits
    principal: Principal
    hops: int
    source: EventSource

    async def apply(self, body: TriggerActions) -> Applied:
        """Applies an action, or with `dry_run` only decides what it would do.

        1. Check the scopes, and lock the destinations that are named.
        2. Choose the triggers, and lock them in the order of their ids.
        3. Fire all, or change some hundred at a time, with an audit entry for each.
        4. Wake the dispatchers once.
        """
        self._check_scopes(body)
        destinations = body.destinations or []
        check_may_name(self.principal, destinations)
        found = await lock_named(self.session, self.principal.one_project_id, destinations)
        destination_ids = ids_of(destinations, found)
        applied = Applied(await self._choose(body))
        if body.action in {TriggerAction.FIRE, TriggerAction.TEST}:
            await self._fire(applied, body)
        else:
            now = await database_now(self.session)
            await self._change(applied, self._change_of(body, destination_ids, now), body)
            if applied.changed and not body.dry_run:
                await announce(self.session, *map(self._owned, applied.changed))
        return applied

    @property
    def _many(self) -> ManyTriggers:
        return ManyTriggers(self.session, self.principal.one_project_id)

    def _check_scopes(self, body: TriggerActions) -> None:
        missing = [one for one in body.needed_scopes if one not in self.principal.scopes]
        if missing:
            raise MissingScope(missing, "This action")

    async def _choose(self, body: TriggerActions) -> list[int]:
        """Returns the ids of existing triggers in order; those of a filter match it when locked."""
        locks = not body.dry_run and body.action is not TriggerAction.TEST
        if body.filter is None:
            visible = [one for one in set(body.ids or ()) if self.principal.may_see(one)]
            return await self._many.list_ids(visible, lock=locks)
        wanted = filter_of(self.principal, body.filter)
        ids = await self._select(wanted, limit=MOST_ROWS + 1)
        if len(ids) > MOST_ROWS:
            raise TooManyMatched
        if not locks:
            return sorted(ids)
        locked = await self._many.list_ids(ids, lock=True)
        still = {*await self._select(wanted, limit=2 * MOST_ROWS)}
        return [one for one in locked if one in still]

    async def _select(self, wanted: TriggerFilter, *, limit: int) -> list[int]:
        triggers, owner_id = TriggersById(self.session), self.principal.one_project_id
        return await triggers.select_ids(owner_id, wanted, limit=limit)

    def _owned(self, trigger_id: int) -> OwnedId:
        return OwnedId(self.principal.one_project_id, trigger_id)

    async def _change(self, applied: Applied, change: Change, body: TriggerActions) -> None:
        for start in range(0, len(applied.found), _TRIGGERS_PER_STATEMENT):
            ids = applied.found[start : start + _TRIGGERS_PER_STATEMENT]
            changed, entries = list[Trigger](), list[RowChange]()
            for place, trigger in enumerate(await self._many.read(ids)):
                await _give_way(place)
                before = _audited(trigger)
                try:
                    is_changed = change.decide(trigger)
                except Problem as problem:
                    applied.failed[trigger.id] = problem
                    continue
                if is_changed:
                    changed.append(trigger)
                    entries.append(_entry_of(trigger, before, body.action))
            applied.changed += [one.id for one in changed]
            if changed and not body.dry_run:
                await change.store(self._many, changed)
                owner_id = self.principal.one_project_id
                await record_all(self.session, "trigger", entries, project_id=owner_id)

    def _change_of(
        self, body: TriggerActions, destination_ids: Sequence[int], now: datetime
    ) -> Change:
        match body.action:
            case TriggerAction.PAUSE:
                return Pause(now)
            case TriggerAction.RESUME:
                return Resume(now)
            case TriggerAction.DELETE:
                return Delete(now, hooks=self.hooks)
            case TriggerAction.TAG:
                return Tag(body.tags or [], now)
            case TriggerAction.UNTAG:
                return Untag(body.tags or [], now)
            case TriggerAction.SET_DESTINATIONS:
                return SetDestinations(destination_ids, now)
            case TriggerAction.FIRE | TriggerAction.TEST:
                raise AssertionError("firing changes no configuration")
        assert_never(body.action)

    async def _fire(self, applied: Applied, body: TriggerActions) -> None:
        calls = [self._call(one, body.action) for one in applied.found]
        if not body.dry_run:
            calls = await self._list_within_limits(calls, applied)
        outcomes = await fire_batch(self.session, calls, is_dry=body.dry_run)
        for call, outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, Problem):
                applied.failed[call.trigger.id] = outcome
            else:
                applied.changed.append(call.trigger.id)
        if not body.dry_run:
            for place, one in enumerate(applied.changed):
                await _give_way(place)
                await self.rate_limits.count(OwnedId(self.principal.one_project_id, one))

    def _call(self, trigger_id: int, action: TriggerAction) -> Call:
        return Call(
            OwnedId(self.principal.one_project_id, trigger_id),
            None,
            is_test=action is TriggerAction.TEST,
            idempotency_key=None,
            hops=self.hops,
            source=self.source,
        )

    async def _list_within_limits(self, calls: Sequence[Call], applied: Applied) -> list[Call]:
        allowed = []
        for place, call in enumerate(calls):
            await _give_way(place)
            try:
                await self.rate_limits.check(call.trigger, caller=name_of(self.principal))
            except Problem as problem:
                applied.failed[call.trigger.id] = problem
            else:
                allowed.append(call)
        return allowed


async def _give_way(place: int) -> None:
    """Lets the event loop do other work after each slice of triggers."""
    if place % _TRIGGERS_PER_SLICE == 0:
        await asyncio.sleep(0)


def _audited(trigger: Trigger) -> dict[str, Any]:
    return {name: getattr(trigger, name) for name in Trigger.audited}


def _entry_of(trigger: Trigger, before: dict[str, Any], action: TriggerAction) -> RowChange:
    """Describes the change as the audit log describes that of a single trigger."""
    if action is TriggerAction.DELETE:
        present = {name: value for name, value in before.items() if value is not None}
        return RowChange(trigger.id, present, {})
    after = _audited(trigger)
    differing = [name for name, value in after.items() if value != before[name]]
    return RowChange(
        trigger.id,
        {name: before[name] for name in differing},
        {name: after[name] for name in differing},
    )
