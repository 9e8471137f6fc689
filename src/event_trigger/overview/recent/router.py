"""The HTTP operation that shows the last instants of several triggers."""

from collections.abc import Collection
from itertools import groupby
from typing import Annotated

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import PrincipalDep, needs
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import database_now
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.events.dependencies import RetentionDep
from event_trigger.events.window import Retention, oldest_kept
from event_trigger.overview.recent.repository import RecentInstants, RecentRow
from event_trigger.overview.recent.schemas import RecentInstant, RecentRead
from event_trigger.web.dependencies import ReadsDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import RowIds
from event_trigger.web.strict_json import strict_router

MOST_INSTANTS = 50  # of a trigger

router = strict_router(
    prefix="/triggers",
    tags=["triggers"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[needs(Scope.TRIGGERS_READ, Scope.EVENTS_READ)],
)


@router.get("/recent", summary="Show the last instants of triggers", operation_id="list_recent")
async def list_recent(
    principal: PrincipalDep,
    reads: ReadsDep,
    retention: RetentionDep,
    id: Annotated[RowIds, Query(description="Repeat it for up to 100 triggers.")],  # noqa: A002
    last: Annotated[
        int, Query(ge=1, le=MOST_INSTANTS, description="The largest number for each trigger.")
    ] = 12,
) -> list[RecentRead]:
    """Shows the last instants of each trigger: those that fired, and why others did not.

    They are as old as events are kept. Calls are among them, and tests are not. Successive instants
    that did not fire for one reason are one. An id that is no trigger's has no row.
    """
    owner_id, ids = principal.one_project_id, principal.visible_among(id) or set()

    async def read(session: AsyncSession) -> list[RecentRow]:
        return await _read(session, retention, owner_id, ids, most=last)

    rows = await reads.run(read)
    return [
        RecentRead(
            trigger_id=trigger_id,
            instants=[RecentInstant.model_validate(one) for one in instants],
        )
        for trigger_id, instants in groupby(rows, lambda one: one.trigger_id)
    ]


async def _read(
    session: AsyncSession,
    retention: Retention,
    owner_id: int,
    ids: Collection[int],
    *,
    most: int,
) -> list[RecentRow]:
    since = oldest_kept(retention, now=await database_now(session))
    return await RecentInstants(session).list_last(owner_id, ids, since=since, most=most)
