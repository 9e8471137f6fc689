"""The HTTP operation that lists notices."""

from typing import Annotated

from fastapi import Query

from event_trigger.auth.dependencies import UNLIMITED, PrincipalDep, needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.notices.repository import Notices
from event_trigger.notices.schemas import NoticeQuery, NoticeRead, read_notice
from event_trigger.web.dependencies import SessionDep
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["deliveries"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[needs(Scope.EVENTS_READ), UNLIMITED],
)


@router.get("/notices", summary="List notices", operation_id="list_notices")
async def list_notices(
    principal: PrincipalDep,
    session: SessionDep,
    paging: PageQueryDep,
    query: Annotated[NoticeQuery, Query()],
) -> list[NoticeRead]:
    """Lists the notices that destinations of the project heard of, newest first.

    A destination hears of the kinds of changes in its `notices`. `GET /deliveries?notice_id=…`
    lists the deliveries of a notice. It is kept as long as these are. Notices of changes in other
    projects (`all_projects`) are shown to admins only. The `Link` header leads to the next page.
    """
    page = await Notices(session).list_page(
        principal.project_id,
        kind=query.kind,
        own_only=Scope.ADMIN not in principal.scopes,
        before=paging.before_id(),
        limit=paging.limit,
    )
    return [read_notice(row) for row in paging.rows_of(page, lambda row: row.id)]
