"""The HTTP operation that shows the refused calls of a trigger's hook."""

from event_trigger.auth.dependencies import needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.hooks.refusals.repository import HookRefusals
from event_trigger.hooks.refusals.schemas import HookRefusalRead, read_refusal
from event_trigger.triggers.dependencies import TriggerKeyDep
from event_trigger.triggers.repository import Triggers
from event_trigger.web.problems import problems
from event_trigger.web.session import SessionDep
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/triggers",
    tags=["hooks"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[needs(Scope.TRIGGERS_READ)],
)


@router.get(
    "/{trigger_id:id}/refusals",
    summary="List refused calls of a hook",
    operation_id="list_refusals",
)
async def list_refusals(key: TriggerKeyDep, session: SessionDep) -> list[HookRefusalRead]:
    """Lists the refused calls of the trigger's hook, newest first: the last 50 records.

    One record is all calls of a minute that were refused for one reason. It appears within about
    two seconds, and is kept for 7 days. Calls while the trigger is paused are accepted (202), and
    are here too.

    Calls with a body that is too large (413) or compressed (415) are refused unread, so they may
    come from anybody who knows the URL.

    Not here are calls that say nothing of the hook: those with an unknown token (404), and those
    that their sender should send again (409, 503). Questions and pings of senders are answered, and
    so are not refused.
    """
    if await Triggers(session).get(key) is None:
        raise NotFound
    return [read_refusal(one) for one in await HookRefusals(session).list_newest(key)]
