"""HTTP operations for admins on users."""

from event_trigger.audit.recorder import record_refused
from event_trigger.auth.admin.schemas import UserUpdate
from event_trigger.auth.dependencies import UNLIMITED, CredentialsDep, PrincipalDep, needs
from event_trigger.auth.repository.users import Users
from event_trigger.auth.schemas import UserRead
from event_trigger.auth.scopes import Scope
from event_trigger.auth.users import AccountChange, LastAdmin, NoLongerAdmin, change_account
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import PathId
from event_trigger.web.session import SessionDep, SessionsDep
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["users"],
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
    responses=problems(NotFound, LastAdmin, UnsupportedMediaType),
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
