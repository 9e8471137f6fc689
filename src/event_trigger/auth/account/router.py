"""HTTP operations on one's own account."""

from fastapi import Request

from event_trigger.auth.account import lifecycle
from event_trigger.auth.account.me import MeRead, MeUpdate, PasswordChange, read_me
from event_trigger.auth.dependencies import (
    CredentialsDep,
    FullLoginDep,
    OriginDep,
    PasswordsDep,
    PrincipalDep,
    identify_again,
)
from event_trigger.auth.passwords.hashing import TooManySignIns
from event_trigger.auth.principal import NarrowedLogin
from event_trigger.errors import Invalid, NotFound, Unauthorized, UnsupportedMediaType
from event_trigger.web.dependencies import SessionDep, SessionsDep
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

router = strict_router(prefix="/auth", tags=["auth"], responses=problems(Unauthorized, Invalid))


@router.get(
    "/me", summary="Read your own user", operation_id="get_me", responses=problems(NotFound)
)
async def get_me(principal: PrincipalDep, session: SessionDep) -> MeRead:
    """Returns the user of the token or API key, its scopes in this project, and the projects."""
    return await read_me(session, principal)


@router.patch(
    "/me",
    summary="Choose your default project",
    operation_id="update_me",
    responses=problems(NarrowedLogin, NotFound, UnsupportedMediaType),
)
async def update_me(
    request: Request,
    body: MeUpdate,
    login: FullLoginDep,
    sessions: SessionsDep,
    credentials: CredentialsDep,
) -> MeRead:
    """Chooses the project of calls without `X-Project-ID`, on every replica within a second.

    It must be one that you are a member of. This needs a login that was not narrowed. API keys
    are not affected: they work in their own project.
    """
    if "default_project_id" in body.model_fields_set:
        async with sessions.begin() as session:
            await lifecycle.set_default_project(session, login, body.default_project_id)
        credentials.forget(str(login.user_id))
    changed = await identify_again(request, credentials)
    async with sessions.begin() as session:
        return await read_me(session, changed)


@router.post(
    "/password",
    summary="Change your password",
    operation_id="change_password",
    status_code=204,
    responses=problems(NarrowedLogin, UnsupportedMediaType, TooManySignIns),
)
async def change_password(
    body: PasswordChange,
    login: FullLoginDep,
    origin: OriginDep,
    sessions: SessionsDep,
    passwords: PasswordsDep,
    credentials: CredentialsDep,
) -> None:
    """Replaces your password, and ends all your other logins within a second; this one stays.

    API keys stay, too, unless `end_keys` is true. This needs a login that was not narrowed. A
    wrong current password is a 422, and counts as a wrong password at sign-in does: beyond the
    limits there, the answer is 429 with `Retry-After`.
    """
    wanted = lifecycle.NewSecret(body.current, body.new, body.end_keys, origin.address)
    await lifecycle.change_password(sessions, passwords, login, wanted)
    credentials.forget(str(login.user_id))
