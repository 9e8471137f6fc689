"""Reads and writes triggers and their tags; a statement is about one owner, so one shard."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, Text, cast, delete, func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

import event_trigger.triggers.list_tables  # noqa: F401  each flush writes the rows of lists
from event_trigger.db.notify import SCHEDULE_CHANGED, TRIGGERS_CHANGED, notify, notify_rows
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.models import (
    EVERY_SHARD,
    SHARDS,
    Destination,
    FinishedMember,
    OnCompletion,
    Trigger,
    TriggerDestination,
    TriggerStatus,
    TriggerTag,
    TriggerType,
    shard_of,
)
from event_trigger.triggers.schedule.forecast import PlannedTrigger
from event_trigger.triggers.schedule.plan import schedule_part
from event_trigger.web.keys import refusing_taken_key

# the partial index `ix_triggers_to_delete` needs its conditions in the text, and not as parameters
_LIST_TO_DELETE = text(f"""
    SELECT owner_id, id FROM triggers
    WHERE {EVERY_SHARD} AND status = 'completed' AND on_completion = 'delete' LIMIT :limit
""")  # noqa: S608


def _one(key: OwnedId) -> Select[Trigger]:
    return select(Trigger).where(
        Trigger.shard == key.shard, Trigger.owner_id == key.owner_id, Trigger.id == key.id
    )


@dataclass(frozen=True)
class Triggers:
    session: AsyncSession

    async def get(self, key: OwnedId) -> Trigger | None:
        return (await self.session.scalars(_one(key))).one_or_none()

    async def get_locked(self, key: OwnedId) -> Trigger | None:
        """Locks the row: until the commit, nobody fires, changes or deletes the trigger."""
        statement = _one(key).with_for_update(key_share=True)
        fresh = statement.execution_options(populate_existing=True)
        return (await self.session.scalars(fresh)).one_or_none()

    async def get_id(self, owner_id: int, key: str) -> int | None:
        """Finds the trigger with a key, in the index `ix_triggers_key`."""
        statement = select(Trigger.id).where(
            Trigger.shard == shard_of(owner_id), Trigger.owner_id == owner_id, Trigger.key == key
        )
        return await self.session.scalar(statement)

    async def get_by_key_locked(self, owner_id: int, key: str) -> Trigger | None:
        """Locks the trigger with a key, as `get_locked` does."""
        statement = (
            select(Trigger)
            .where(
                Trigger.shard == shard_of(owner_id),
                Trigger.owner_id == owner_id,
                Trigger.key == key,
            )
            .with_for_update(key_share=True)
        )
        fresh = statement.execution_options(populate_existing=True)
        return (await self.session.scalars(fresh)).one_or_none()

    async def get_owner(self, trigger_id: int) -> int | None:
        """Finds the owner of any trigger, for admins: one probe of the key in each shard."""
        statement = select(Trigger.owner_id).where(
            Trigger.shard.in_(range(SHARDS)), Trigger.id == trigger_id
        )
        return await self.session.scalar(
            statement, execution_options={ACROSS_SHARDS: "admin reads"}
        )

    async def count_of(self, owner_id: int) -> int:
        """Counts a project's triggers, in the index `ix_triggers_owner_kind` alone."""
        statement = (
            select(func.count())
            .select_from(Trigger)
            .where(Trigger.shard == shard_of(owner_id), Trigger.owner_id == owner_id)
        )
        return int(await self.session.scalar(statement) or 0)

    async def add(self, trigger: Trigger) -> None:
        """Raises KeyTaken if another trigger of the project has its key."""
        self.session.add(trigger)
        with refusing_taken_key(trigger.key):
            await self.session.flush()
        await self.insert_tags([trigger])

    async def retag(self, trigger: Trigger, before: Sequence[str]) -> None:
        """Rewrites the trigger's rows in `trigger_tags`, even when they are unchanged.

        An older replica may have left them out.
        """
        await self._delete_tags(trigger, before)
        await self.insert_tags([trigger])

    async def list_planned(
        self,
        owner_id: int,
        ids: Collection[int] | None,
        *,
        after: tuple[datetime, int],
        until: datetime,
        limit: int,
    ) -> list[PlannedTrigger]:
        """Lists triggers by their next instant and id: those after a place, before `until`.

        `ids` limits them to some; None means all.
        """
        place = tuple_(Trigger.next_fire_at.expression, Trigger.id.expression)
        statement = (
            select(
                Trigger.id,
                Trigger.key,
                Trigger.name,
                cast(cast(Trigger.details, JSONB).op("-")("schema"), Text),
                Trigger.anchor_at,
                Trigger.next_fire_at,
                Trigger.scheduled_count,
                Trigger.excluded_days,
                Trigger.shift_seconds,
            )
            .where(
                Trigger.shard == shard_of(owner_id),
                Trigger.owner_id == owner_id,
                Trigger.type == TriggerType.SCHEDULED,  # a deadline is no instant that will fire
                place > after,
                Trigger.next_fire_at < until,
            )
            .order_by(Trigger.next_fire_at, Trigger.id)
            .limit(limit)
        )
        if ids is not None:
            statement = statement.where(Trigger.id.in_(ids))
        return [*_sharing_days(map(PlannedTrigger._make, await self.session.execute(statement)))]

    async def list_destinations_locked(
        self, owner_id: int, *, ids: Sequence[int], keys: Sequence[str]
    ) -> list[tuple[int, str | None]]:
        """Locks the owner's destinations among these against deletion; gives ids and keys."""
        statement = (
            select(Destination.id, Destination.key)
            .where(
                Destination.shard == shard_of(owner_id),
                Destination.owner_id == owner_id,
                or_(Destination.id.in_(ids), Destination.key.in_(keys)),
                Destination.deleted_at.is_(None),
            )
            .order_by(Destination.id)
            .with_for_update(read=True)
        )
        rows = await self.session.execute(statement)
        return [(row_id, key) for row_id, key in rows]

    async def forget_destination(self, destination: OwnedId) -> None:
        """Removes a destination from all triggers of its owner.

        Locks them in the order of their ids first, as all that changes many triggers does, or two
        transactions would wait for each other.
        """
        naming = (
            Trigger.shard == destination.shard,
            Trigger.owner_id == destination.owner_id,
            Trigger.destinations.contains([destination.id]),
        )
        locked = select(Trigger.id).where(*naming).order_by(Trigger.id)
        await self.session.execute(locked.with_for_update(key_share=True))
        without = func.array_remove(Trigger.destinations, destination.id)
        await self.session.execute(
            update(Trigger).where(*naming).values(destinations=without),
            execution_options={"synchronize_session": False},
        )
        await self.session.execute(
            delete(TriggerDestination).where(
                TriggerDestination.shard == destination.shard,
                TriggerDestination.owner_id == destination.owner_id,
                TriggerDestination.destination_id == destination.id,
            )
        )

    async def delete(self, trigger: Trigger) -> None:
        await self.session.delete(trigger)
        await self.session.flush()
        await self._delete_tags(trigger, trigger.tags)

    async def insert_tags(self, triggers: Sequence[Trigger]) -> None:
        rows = [
            {"shard": one.shard, "owner_id": one.owner_id, "trigger_id": one.id, "tag": tag}
            for one in triggers
            for tag in one.tags
        ]
        if rows:
            await self.session.execute(insert(TriggerTag).on_conflict_do_nothing(), rows)

    async def _delete_tags(self, trigger: Trigger, tags: Sequence[str]) -> None:
        if not tags:
            return
        await self.session.execute(
            delete(TriggerTag).where(
                TriggerTag.shard == trigger.shard,
                TriggerTag.owner_id == trigger.owner_id,
                TriggerTag.tag.in_(tags),
                TriggerTag.trigger_id == trigger.id,
            )
        )


@dataclass(frozen=True)
class CompletedTriggers:
    session: AsyncSession

    async def list_to_delete(self, *, limit: int) -> list[OwnedId]:
        """Lists completed triggers of any project that are to be deleted."""
        rows = await self.session.execute(
            _LIST_TO_DELETE, {"limit": limit}, execution_options={ACROSS_SHARDS: "jobs"}
        )
        return [OwnedId(owner_id, row_id) for owner_id, row_id in rows]

    async def lock_to_delete(self, key: OwnedId) -> Trigger | None:
        """Locks a completed trigger that is to be deleted; None if it is none, or is locked."""
        statement = (
            select(Trigger)
            .where(
                Trigger.shard == key.shard,
                Trigger.id == key.id,
                Trigger.status == TriggerStatus.COMPLETED,
                Trigger.on_completion == OnCompletion.DELETE,
            )
            .with_for_update(key_share=True, skip_locked=True)
        )
        return (await self.session.scalars(statement)).one_or_none()

    async def note_finished(self, trigger: Trigger) -> None:
        """Notes that a trigger of a set is done, so that its file does not create it again."""
        new = {
            "shard": trigger.shard,
            "owner_id": trigger.owner_id,
            "set_name": trigger.set_name,
            "key": trigger.key,
            "details": schedule_part(trigger.details),
        }
        statement = insert(FinishedMember).values(**new)
        await self.session.execute(
            statement.on_conflict_do_update(
                index_elements=["shard", "owner_id", "set_name", "key"],
                set_={"details": statement.excluded.details},
            )
        )


def _sharing_days(triggers: Iterable[PlannedTrigger]) -> Iterator[PlannedTrigger]:
    """Keeps the dates of calendars once: thousands of triggers may name the same ones."""
    known: dict[tuple[int, ...], tuple[int, ...]] = {}
    for one in triggers:
        if one.excluded_days is None:
            yield one
        else:
            days = tuple(one.excluded_days)
            yield one._replace(excluded_days=known.setdefault(days, days))


async def announce(session: AsyncSession, *triggers: OwnedId) -> None:
    """Wakes the dispatchers, and tells open streams, when the transaction commits."""
    await notify(session, SCHEDULE_CHANGED)
    await notify_rows(session, TRIGGERS_CHANGED, [(one.owner_id, one.id) for one in triggers])
