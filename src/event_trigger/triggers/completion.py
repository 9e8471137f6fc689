"""Deletes completed triggers whose `on_completion` is `delete`, as a person would delete them."""

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.actor import Actor, acting_as
from event_trigger.db.engine import Sessions, is_outage
from event_trigger.db.shards import OwnedId
from event_trigger.models import ActorKind
from event_trigger.triggers import lifecycle
from event_trigger.triggers.hook_port import HookKeeper
from event_trigger.triggers.repository import CompletedTriggers

log = structlog.get_logger()
TRIGGERS_A_RUN = 500
_SERVICE = Actor(ActorKind.OPERATOR, command="delete_completed_trigger")


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
