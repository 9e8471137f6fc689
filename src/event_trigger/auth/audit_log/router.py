"""The HTTP operation that reads the audit log."""

from typing import Annotated

from fastapi import Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record_refused
from event_trigger.audit.repository import AuditFilter, AuditLog
from event_trigger.audit.schemas import AuditQuery, AuditRead, read_entry
from event_trigger.auth.audit_log.readers import NotAnOwner, readable_part
from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.auth.project_header import PROJECT_HEADER, wanted_project
from event_trigger.db.keyset import Page
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.models import AuditEntry
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.session import ReadsDep, SessionsDep
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["audit"], responses=problems(Unauthorized, NotAnOwner, NotFound, Invalid)
)


@router.get("/audit", summary="Read the audit log", operation_id="list_audit")
async def list_audit(
    request: Request,
    principal: PrincipalDep,
    sessions: SessionsDep,
    reads: ReadsDep,
    paging: PageQueryDep,
    query: Annotated[AuditQuery, Query()],
) -> list[AuditRead]:
    """Lists the audit log of the last 90 days, newest first.

    It holds every change (actor, time, address and difference, without secrets), refused calls of
    admin operations, reads of a destination's secret, and failed sign-ins (`action=sign_in`),
    counted by the minute for each account and address.

    A project's owners read the entries of the project that the call happens in. Of those who are no
    members of it now, such as an admin, they see the `user_id`, but not the address.
    Admins read all entries, or those of the project that they name in `X-Project-ID`; failed
    sign-ins and other entries without a project are for admins only.
    """
    named = wanted_project(request.headers.get(PROJECT_HEADER))
    try:
        readable = readable_part(principal, named)
    except Forbidden:
        async with sessions.begin() as session:
            await record_refused(session, "audit", project_id=principal.project_id)
        raise
    wanted = AuditFilter(**query.model_dump(), project_id=readable.project_id)
    before = paging.before_instant()

    async def list_page(session: AsyncSession) -> tuple[Page[AuditEntry], set[int] | None]:
        log = AuditLog(session)
        page = await log.list_page(wanted, before=before, limit=paging.limit)
        if readable.project_id is None or not readable.hides_outsiders:
            return page, None
        users = {one.user_id for one in page.rows if one.user_id is not None}
        return page, await log.list_members(readable.project_id, users)

    async def shown(session: AsyncSession) -> bool:
        return before is None or await AuditLog(session).has(before[1])

    page, members = await reads.run(list_page, shown=shown)
    rows = paging.rows_of(page, lambda entry: (entry.at, entry.id))
    return [read_entry(row, with_address=members is None or row.user_id in members) for row in rows]
