"""The HTTP operation that reads the audit log, and which part of it a caller may read."""

from typing import Annotated, NamedTuple, Self

from fastapi import Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record_refused
from event_trigger.audit.repository import AuditFilter, AuditLog
from event_trigger.audit.schemas import AuditQuery, AuditRead, read_entry
from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.auth.principal import Principal
from event_trigger.auth.project_header import PROJECT_HEADER, WantedProject, wanted_project
from event_trigger.auth.scopes import MissingScope, Scope
from event_trigger.db.keyset import Page
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.models import AuditEntry, ProjectRole
from event_trigger.web.dependencies import ReadsDep, SessionsDep
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

_INSTEAD = "Owners of the project read its part with a login that was not narrowed to scopes."


class NotAnOwner(Forbidden):
    slug, title = "for-owners-only", "Only owners read this"

    def __init__(self, role: ProjectRole) -> None:
        super().__init__(
            f"Only the project's owners read its audit log, and you are its {role}. Ask an owner,"
            " or name your own project in X-Project-ID."
        )

    @classmethod
    def example(cls) -> Self:
        return cls(ProjectRole.VIEWER)


class Readable(NamedTuple):
    """The part of the log that a caller may read: of one project, or of all (None).

    `hides_outsiders` means without the addresses of those who are no members of the project.
    """

    project_id: int | None
    hides_outsiders: bool


def readable_part(principal: Principal, named: WantedProject) -> Readable:
    """Returns all of the log for admins, or the part of the project that they name.

    Owners read the part of the project that the call happens in. Raises MissingScope for keys and
    narrowed logins, and NotAnOwner for other members.
    """
    if Scope.ADMIN in principal.scopes:
        return Readable(named if isinstance(named, int) else None, hides_outsiders=False)
    if principal.is_narrowed:
        raise MissingScope([Scope.ADMIN], "The audit log", instead=_INSTEAD)
    if principal.project_role is not ProjectRole.OWNER:
        raise NotAnOwner(principal.project_role)
    return Readable(principal.one_project_id, hides_outsiders=True)


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
