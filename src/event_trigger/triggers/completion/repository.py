"""Finds and locks completed triggers that are to be deleted, and notes members of sets."""

from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.models import EVERY_SHARD, FinishedMember, OnCompletion, Trigger, TriggerStatus
from event_trigger.triggers.schedule.plan import schedule_part

# the partial index `ix_triggers_to_delete` needs its conditions in the text, and not as parameters
_LIST_TO_DELETE = text(f"""
    SELECT owner_id, id FROM triggers
    WHERE {EVERY_SHARD} AND status = 'completed' AND on_completion = 'delete' LIMIT :limit
""")  # noqa: S608


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
