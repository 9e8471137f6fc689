"""The HTTP operation that shows a trigger's history."""

from event_trigger.audit.repository import AuditFilter, AuditLog
from event_trigger.auth.dependencies import needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.models import TriggerType
from event_trigger.triggers.dependencies import READ_AT_ONCE, TriggerKeyDep
from event_trigger.triggers.history.schemas import (
    TriggerHistory,
    read_change,
    read_past,
    read_present,
)
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.plan import schedule_part
from event_trigger.triggers.versions import ScheduleHistory
from event_trigger.triggers.zone_updates.store import load_rules
from event_trigger.web.problems import problems
from event_trigger.web.session import SessionDep
from event_trigger.web.strict_json import strict_router
from event_trigger.web.turns import taking_turns

MOST_LISTED = 100

router = strict_router(
    prefix="/triggers",
    tags=["triggers"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[needs(Scope.TRIGGERS_READ)],
)


@router.get(
    "/{trigger_id:id}/versions", summary="Show a trigger's history", operation_id="list_versions"
)
async def list_versions(key: TriggerKeyDep, session: SessionDep) -> TriggerHistory:
    """Shows the trigger's schedules so far, and the changes with their authors.

    A former schedule is kept for 48 hours after its end, as long as the events that it planned. It
    lists at most the newest 100.
    """
    trigger = await Triggers(session).get(key)
    if trigger is None:
        raise NotFound
    about = AuditFilter(project_id=key.owner_id, target="trigger", target_id=key.id, refused=False)
    changes = await AuditLog(session).list_page(about, before=None, limit=MOST_LISTED)
    past = await ScheduleHistory(session).list_newest(key, limit=MOST_LISTED)
    present = [] if trigger.type == TriggerType.API else [read_present(trigger)]
    digests = [trigger.zone_rules, *(one.zone_rules for one in past)]
    await load_rules(session, [one for one in digests if one is not None])
    details = [schedule_part(trigger.details), *(one.details for one in past)]
    pairs = [*zip(past, details, strict=False)]  # each with the details of the newer one
    former = [read_past(*one) async for one in taking_turns(pairs, at_once=READ_AT_ONCE)]
    return TriggerHistory(
        schedules=[*present, *former],
        changes=[read_change(one) for one in changes.rows],
    )
