"""Deletes completed triggers whose `on_completion` is `delete`, as a person would delete them."""

from dataclasses import dataclass

import structlog
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.actor import Actor, acting_as
from event_trigger.db.engine import Sessions, is_outage
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.models import (
    EVERY_SHARD,
    ActorKind,
    FinishedMember,
    OnCompletion,
    Trigger,
    TriggerStatus,
)
from event_trigger.triggers import lifecycle
from event_trigger.triggers.hook_port import HookKeeper
from event_trigger.triggers.schedule.plan import schedule_part

# the partial index `ix_triggers_to_delete` needs its conditions in the text, and not as parameters
_LIST_TO_DELETE = text(f"""
    SELECT owner_id, id FROM triggers
    WHERE {EVERY_SHARD} AND status = 'completed' AND on_completion = 'delete' LIMIT :limit
""")  # noqa: S608
log = structlog.get_logger()
TRIGGERS_A_RUN = 500
_SERVICE = Actor(ActorKind.OPERATOR, command="delete_completed_trigger")


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


async def delete_completed(sessions: Sessions, hooks: HookKeeper) -> float | None:
    """Deletes triggers, each in a transaction of its own; returns 0.0 if there may be more.

    Every replica does so. The row's lock decides which of them deletes a trigger; the others skip
    it, or find it gone. One that cannot be deleted is logged, and does not keep the others.
    """
    async with sessions() as session:
        found = await CompletedTriggers(session).list_to_delete(limit=TRIGGERS_A_RUN)
    failed = 0
    for key in found:
        try:
            with acting_as(_SERVICE):
                async with sessions.begin() as session:
                    await _delete(session, hooks, key)
        except Exception as error:
            if is_outage(error):
                raise
            failed += 1
            log.exception("completed_trigger_not_deleted", trigger_id=key.id)
    return 0.0 if len(found) == TRIGGERS_A_RUN and not failed else None


async def _delete(session: AsyncSession, hooks: HookKeeper, key: OwnedId) -> None:
    """Deletes a trigger, unless a person has changed or deleted it since it was found.

    Leaves one that somebody has locked to the next run. Notes that a member of a set is done.
    """
    trigger = await CompletedTriggers(session).lock_to_delete(key)
    if trigger is None:
        return
    if trigger.set_name is not None and trigger.key is not None:
        await CompletedTriggers(session).note_finished(trigger)
    await lifecycle.delete(session, hooks, key)
