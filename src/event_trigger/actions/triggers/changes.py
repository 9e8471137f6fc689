"""The actions that change triggers: each decides on one trigger, and stores hundreds at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from event_trigger.actions.triggers.repository import ManyTriggers
from event_trigger.errors import Invalid
from event_trigger.instants import just_after
from event_trigger.models import (
    ScheduleVersion,
    Trigger,
    TriggerStatus,
    TriggerType,
    UnfiredReason,
)
from event_trigger.triggers.hook_port import HookKeeper, verify_in
from event_trigger.triggers.lifecycle import AlreadyCompleted
from event_trigger.triggers.schedule_changes import end, plan_next, schedule_before, settle
from event_trigger.triggers.schemas.requests import MOST_TAGS
from event_trigger.triggers.versions import NewUnfiredRange, ScheduleHistory, UnfiredRanges


class Change(Protocol):
    """Changes triggers for an action; they are locked, read, and detached from the session."""

    def decide(self, trigger: Trigger) -> bool:
        """Changes the object, and returns whether there was anything to change; or raises."""

    async def store(self, many: ManyTriggers, triggers: Sequence[Trigger]) -> None:
        """Stores the triggers that were changed since it was last called."""


@dataclass(slots=True)
class _Rescheduling:
    """Collects the instants that a change makes unfired."""

    now: datetime
    unfired: list[NewUnfiredRange] = field(default_factory=list)

    def settle(self, trigger: Trigger) -> None:
        old = schedule_before(trigger)
        new = settle(trigger, old.plan, UnfiredReason.PAUSED, now=self.now)
        self.unfired += [] if new is None else [new]

    async def store(self, many: ManyTriggers, triggers: Sequence[Trigger]) -> None:
        await self.store_unfired(many, triggers)
        await many.save_schedules(triggers)

    async def store_unfired(self, many: ManyTriggers, triggers: Sequence[Trigger]) -> None:
        await UnfiredRanges(many.session).record(triggers[0].shard, self.unfired)
        self.unfired.clear()


class Pause(_Rescheduling):
    def decide(self, trigger: Trigger) -> bool:
        """Does what `lifecycle.pause` does."""
        if trigger.status == TriggerStatus.COMPLETED:
            raise AlreadyCompleted
        if trigger.status == TriggerStatus.PAUSED:
            return False
        self.settle(trigger)
        trigger.status = TriggerStatus.PAUSED
        trigger.next_fire_at = None
        trigger.updated_at = max(self.now, just_after(trigger.updated_at))
        return True


class Resume(_Rescheduling):
    def decide(self, trigger: Trigger) -> bool:
        """Does what `lifecycle.resume` does."""
        if trigger.status == TriggerStatus.COMPLETED:
            raise AlreadyCompleted
        if trigger.status == TriggerStatus.ACTIVE:
            return False
        ranges = len(self.unfired)
        self.settle(trigger)
        trigger.updated_at = max(self.now, just_after(trigger.updated_at))
        trigger.error = None
        try:
            plan_next(trigger)
        except Invalid:
            del self.unfired[ranges:]
            raise
        return True


@dataclass(slots=True)
class Delete(_Rescheduling):
    hooks: HookKeeper = field(kw_only=True)
    versions: list[ScheduleVersion] = field(default_factory=list)

    def decide(self, trigger: Trigger) -> bool:
        """Does what `lifecycle.delete` does."""
        if trigger.type == TriggerType.SCHEDULED:
            old = schedule_before(trigger)
            version, new = end(trigger, old, UnfiredReason.DELETED, now=self.now)
            self.versions.append(version)
            self.unfired += [] if new is None else [new]
        return True

    async def store(self, many: ManyTriggers, triggers: Sequence[Trigger]) -> None:
        await self.store_unfired(many, triggers)
        await ScheduleHistory(many.session).record_version(*self.versions)
        self.versions.clear()
        hooked = [one.id for one in triggers if verify_in(one.details) is not None]
        if hooked:
            await self.hooks.delete(many.session, *hooked)
        await many.delete(triggers)


def _later(now: datetime, triggers: Sequence[Trigger]) -> datetime:
    """Returns now, or later: after the last change of each trigger, so that their ETags differ."""
    return max(now, *(just_after(one.updated_at) for one in triggers))


@dataclass(frozen=True, slots=True)
class Tag:
    tags: Sequence[str]
    now: datetime

    def decide(self, trigger: Trigger) -> bool:
        wanted = [*dict.fromkeys((*trigger.tags, *self.tags))]
        if len(wanted) > MOST_TAGS:
            raise Invalid.at(["tags"], f"A trigger may have at most {MOST_TAGS} tags.")
        is_changed = wanted != trigger.tags
        trigger.tags = wanted
        return is_changed

    async def store(self, many: ManyTriggers, triggers: Sequence[Trigger]) -> None:
        await many.tag([one.id for one in triggers], self.tags, now=_later(self.now, triggers))


@dataclass(frozen=True, slots=True)
class Untag:
    tags: Sequence[str]
    now: datetime

    def decide(self, trigger: Trigger) -> bool:
        wanted = [one for one in trigger.tags if one not in self.tags]
        is_changed = wanted != trigger.tags
        trigger.tags = wanted
        return is_changed

    async def store(self, many: ManyTriggers, triggers: Sequence[Trigger]) -> None:
        await many.untag([one.id for one in triggers], self.tags, now=_later(self.now, triggers))


@dataclass(frozen=True, slots=True)
class SetDestinations:
    destinations: Sequence[int]
    now: datetime

    def decide(self, trigger: Trigger) -> bool:
        is_changed = trigger.destinations != [*self.destinations]
        trigger.destinations = [*self.destinations]
        return is_changed

    async def store(self, many: ManyTriggers, triggers: Sequence[Trigger]) -> None:
        ids = [one.id for one in triggers]
        await many.set_destinations(ids, self.destinations, now=_later(self.now, triggers))
