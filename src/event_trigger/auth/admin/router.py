"""HTTP operations for admins on users."""

from fastapi import Request
from pydantic import ConfigDict, Field

from event_trigger.audit.recorder import record_refused
from event_trigger.auth.admin import links
from event_trigger.auth.dependencies import (
    LOGIN,
    UNLIMITED,
    CredentialsDep,
    LoginDep,
    PasswordsDep,
    PrincipalDep,
    needs,
)
from event_trigger.auth.idempotency import IDEMPOTENT_FOR_USER
from event_trigger.auth.passwords.hashing import TooManySignIns
from event_trigger.auth.repository.password_resets import RESET_PATH
from event_trigger.auth.repository.users import Users
from event_trigger.auth.schemas import Email, UserRead
from event_trigger.auth.scopes import Scope
from event_trigger.auth.users import (
    AccountChange,
    AddressTaken,
    LastAdmin,
    NoLongerAdmin,
    change_account,
)
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.models import Role
from event_trigger.web.dependencies import SessionDep, SessionsDep
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.request_head import base_url
from event_trigger.web.schemas import (
    Instant,
    PatchModel,
    PathId,
    RequestModel,
    SecretText,
    WithSecret,
)
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["users"],
    responses=problems(Unauthorized, Forbidden, Invalid),
    dependencies=[needs(Scope.ADMIN), UNLIMITED],
)


class UserAdd(RequestModel):
    email: Email
    role: Role = Field(Role.USER, strict=False)


class UserWithLink(UserRead, WithSecret):
    url: SecretText = Field(
        description="The link, shown only once: give it to the person. It is null if this repeats"
        " an earlier answer (`Idempotency-Key`): then make another link.",
        examples=["https://events.example.com/auth/reset#q1Xz9k…"],
    )
    expires_at: Instant = Field(description="Until then, the link is good for one password.")


class UserUpdate(PatchModel):
    """Changes a user; absent or null fields stay as they are."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    role: Role | None = Field(None, strict=False, examples=["admin"])
    disabled: bool | None = Field(None, description="Ends the user's logins and keys at once.")


@router.get("/users", summary="List users", operation_id="list_users")
async def list_users(
    session: SessionDep,
    paging: PageQueryDep,
) -> list[UserRead]:
    """Lists users, newest first. The `Link` header with `rel="next"` leads to the next page."""
    page = await Users(session).list_page(before=paging.before_id(), limit=paging.limit)
    rows = paging.rows_of(page, lambda user: user.id)
    return [UserRead.model_validate(row) for row in rows]


@router.post(
    "/users",
    summary="Add a user",
    operation_id="add_user",
    dependencies=[LOGIN, IDEMPOTENT_FOR_USER],
    status_code=201,
    responses=problems(AddressTaken, UnsupportedMediaType, TooManySignIns),
)
async def add_user(
    body: UserAdd,
    login: LoginDep,
    session: SessionDep,
    passwords: PasswordsDep,
    request: Request,
) -> UserWithLink:
    """Adds an account, also if sign-up is closed, and makes a link with which it gets a password.

    Give `url` to the person. It works once, within 24 hours. This needs a login whose password was
    given within the last 15 minutes; else the response is 401 `reauthenticate`.
    """
    password_hash = await passwords.hash(links.unknown_password())  # before the session has begun
    made = await links.add_with_link(
        session, login, email=body.email, role=body.role, password_hash=password_hash
    )
    return _with_link(made, request)


@router.post(
    "/users/{user_id}/password-link",
    summary="Make a link for a new password",
    operation_id="create_password_link",
    dependencies=[LOGIN, IDEMPOTENT_FOR_USER],
    status_code=201,
    responses=problems(NotFound, links.UserDisabled),
)
async def create_password_link(
    user_id: PathId, login: LoginDep, session: SessionDep, request: Request
) -> UserWithLink:
    """Makes a link with which a user sets a new password, where no mail can be sent.

    Give `url` to the person. It works once, within 24 hours, and ends all their logins; until then
    the old password is good. This needs a login whose password was given within the last 15
    minutes; else the response is 401 `reauthenticate`.
    """
    return _with_link(await links.make_link(session, login, user_id), request)


def _with_link(made: links.PasswordLink, request: Request) -> UserWithLink:
    read = UserRead.model_validate(made.user).model_dump()
    url = f"{base_url(request)}{RESET_PATH}#{made.token}"
    return UserWithLink(**read, url=url, expires_at=made.expires_at)


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
