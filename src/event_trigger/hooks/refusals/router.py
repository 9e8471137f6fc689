"""The HTTP operation that shows the refused calls of a trigger's hook."""

from typing import Annotated

from pydantic import Field

from event_trigger.auth.dependencies import needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.hooks.refusals.records import HookRefusals
from event_trigger.models import HookMethod, HookRefusal
from event_trigger.triggers.dependencies import TriggerKeyDep
from event_trigger.triggers.repository import Triggers
from event_trigger.web.dependencies import SessionDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import Instant, ResponseModel
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/triggers",
    tags=["hooks"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[needs(Scope.TRIGGERS_READ)],
)


class HookRefusalRead(ResponseModel):
    """The calls of one minute that were refused for one reason."""

    at: Instant = Field(description="The time of the last one.")
    count: Annotated[int, Field(ge=1)] = Field(description="How many there were in that minute.")
    address: str | None = Field(
        description="The IP address that the last one came from; null if it is not known.",
        examples=["192.0.2.1"],
    )
    method: str = Field(examples=[HookMethod.POST])
    status: int = Field(description="The status of the answer; 202 for a paused trigger.")
    reason: str = Field(
        description="Why there is no event: `wrong_signature`, `timestamp_too_far`,"
        " `missing_header`, `trigger_paused`, `method_not_allowed`, `loop_detected`, and so on; the"
        " sender is told less.",
        examples=["wrong_signature"],
    )


def read_refusal(refusal: HookRefusal) -> HookRefusalRead:
    return HookRefusalRead(
        at=refusal.last_at,
        count=refusal.count,
        address=refusal.address,
        method=refusal.method,
        status=refusal.status,
        reason=refusal.reason,
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
