"""HTTP operations for admins: users and the audit log."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record_refused
from event_trigger.audit.repository import AuditFilter, AuditLog
from event_trigger.audit.schemas import AuditQuery, AuditRead
from event_trigger.auth.admin.schemas import UserUpdate
from event_trigger.auth.dependencies import UNLIMITED, CredentialsDep, PrincipalDep, needs
from event_trigger.auth.repository import Users
from event_trigger.auth.schemas import UserRead
from event_trigger.auth.scopes import Scope
from event_trigger.auth.users import AccountChange, LastAdmin, NoLongerAdmin, change_account
from event_trigger.db.keyset import Page
from event_trigger.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.models import AuditEntry
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import PathId
from event_trigger.web.session import ReadsDep, SessionDep, SessionsDep
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["admin"],
    responses=problems(Unauthorized, Forbidden, Invalid),
    dependencies=[needs(Scope.ADMIN), UNLIMITED],
)


@router.get("/users", summary="List users", operation_id="list_users")
async def list_users(
    session: SessionDep,
    paging: PageQueryDep,
) -> list[UserRead]:
    """Lists users, newest first. The `Link` header with `rel="next"` leads to the next page."""
    page = await Users(session).list_page(before=paging.before_id(), limit=paging.limit)
    rows = paging.rows_of(page, lambda user: user.id)
    return [UserRead.model_validate(row) for row in rows]


@router.patch(
    "/users/{user_id}",
    summary="Change a user",
    operation_id="update_user",
    responses=problems(NotFound, Conflict, UnsupportedMediaType),
)
async def update_user(
    user_id: PathId,
    body: UserUpdate,
    principal: PrincipalDep,
    sessions: SessionsDep,
    credentials: CredentialsDep,
) -> UserRead:
    """Disables or enables a user, or changes the role, on every replica within a second.

    Disabling ends all logins and API keys of the user, and enabling does not bring them back: the
    user signs in again, and makes new keys. The triggers of a disabled user go on firing.
    """
    change = AccountChange(body.role, body.disabled)
    try:
        async with sessions.begin() as session:
            user = await change_account(session, user_id, change, by=principal.user_id)
    except (LastAdmin, NoLongerAdmin):
        async with sessions.begin() as session:
            await record_refused(session, "user")
        raise
    credentials.forget(str(user_id))
    return UserRead.model_validate(user)


@router.get("/audit", summary="Read the audit log", operation_id="list_audit")
async def list_audit(
    reads: ReadsDep,
    paging: PageQueryDep,
    query: Annotated[AuditQuery, Query()],
) -> list[AuditRead]:
    """Lists the audit log of the last 90 days, newest first.

    It holds every change (actor, time, address and difference, without secrets), calls of admin
    operations that were refused, reads of a destination's secret, and failed sign-ins
    (`action=sign_in`), counted by the minute for each account and address.
    """
    wanted = AuditFilter(**query.model_dump())
    before = paging.before_instant()

    async def list_page(session: AsyncSession) -> Page[AuditEntry]:
        return await AuditLog(session).list_page(wanted, before=before, limit=paging.limit)

    async def shown(session: AsyncSession) -> bool:
        return before is None or await AuditLog(session).has(before[1])

    page = await reads.run(list_page, shown=shown)
    rows = paging.rows_of(page, lambda entry: (entry.at, entry.id))
    return [AuditRead.model_validate(row) for row in rows]
