"""HTTP operations that delete a project, and that erase a user."""

from dataclasses import asdict
from typing import Annotated

import structlog
from fastapi import Query

from event_trigger.audit.recorder import record_refused
from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.dependencies import (
    UNLIMITED,
    CredentialsDep,
    FullLoginDep,
    OriginDep,
    PasswordsDep,
    PrincipalDep,
    needs,
)
from event_trigger.auth.logins.password_check import check_own_password
from event_trigger.auth.passwords.hashing import TooManySignIns
from event_trigger.auth.principal import NarrowedLogin
from event_trigger.auth.scopes import Scope
from event_trigger.auth.users import NoLongerAdmin
from event_trigger.erasure.projects import HasTriggers, delete_project
from event_trigger.erasure.schemas import ErasedRead, OwnErasure
from event_trigger.erasure.users import Erased, StillNeeded, erase_user
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.web.dependencies import SessionsDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import PathId
from event_trigger.web.strict_json import strict_router

log = structlog.get_logger()

router = strict_router(responses=problems(Unauthorized, Forbidden, Invalid), tags=[])


@router.delete(
    "/projects/{project_id}",
    tags=["projects"],
    summary="Delete a project",
    operation_id="delete_project",
    status_code=204,
    responses=problems(NarrowedLogin, NotFound, HasTriggers),
)
async def delete_a_project(
    project_id: PathId,
    login: FullLoginDep,
    sessions: SessionsDep,
    credentials: CredentialsDep,
    purge: Annotated[
        bool, Query(description="Deletes the project with its triggers and all else in it.")
    ] = False,
) -> None:
    """Deletes a project; its owners may, and admins who are no members of it.

    From then on nothing of it fires, is sent, listed or called; its keys end, and its streams and
    exports stop within a second, on every replica. Its rows are deleted soon after. While it has
    triggers the answer is 409, unless `purge` is true. A user's own project goes with the account.
    """
    async with sessions.begin() as session:
        contents = await delete_project(session, project_id, by=login, purge=purge)
    credentials.forget()
    log.info("project_deleted", project_id=project_id, triggers=contents.triggers)


@router.delete(
    "/users/{user_id}",
    tags=["users"],
    summary="Erase a user",
    operation_id="erase_user",
    responses=problems(NotFound, StillNeeded),
    dependencies=[needs(Scope.ADMIN), UNLIMITED],
)
async def erase_a_user(
    user_id: PathId, principal: PrincipalDep, sessions: SessionsDep, credentials: CredentialsDep
) -> ErasedRead:
    """Erases a user: the account, its logins and keys, its own project, and those without others.

    The user's address is taken out of the audit log, where the entries of these projects lose their
    content. The answer counts the deleted rows. It is 409 while other members of a project depend
    on the user, and for your own id: use DELETE /auth/me, which asks for the password.
    """
    try:
        async with sessions.begin() as session:
            erased = await erase_user(session, user_id, by_admin=principal.user_id)
    except NoLongerAdmin:
        async with sessions.begin() as session:
            await record_refused(session, "user")
        raise
    return _told(user_id, erased, credentials)


@router.delete(
    "/auth/me",
    tags=["auth"],
    summary="Erase your own account",
    operation_id="erase_me",
    responses=problems(NarrowedLogin, NotFound, StillNeeded, UnsupportedMediaType, TooManySignIns),
)
async def erase_me(
    body: OwnErasure,
    origin: OriginDep,
    login: FullLoginDep,
    sessions: SessionsDep,
    passwords: PasswordsDep,
    credentials: CredentialsDep,
) -> ErasedRead:
    """Erases your account: your logins and keys, your own project, and those without others.

    Your address is taken out of the audit log, where the entries of these projects lose their
    content. The answer counts the deleted rows. It is 409 while other members of a project depend
    on you: make another member an owner, or delete the project, first; and for the last admin. A
    wrong password is a 422, and limited as when signing in.
    """
    checked = await check_own_password(
        sessions,
        passwords,
        login.user_id,
        body.password,
        address=origin.address,
        place="password",
    )
    async with sessions.begin() as session:
        erased = await erase_user(session, checked.id, password_hash=checked.password_hash)
    return _told(checked.id, erased, credentials)


def _told(user_id: int, erased: Erased, credentials: CredentialCache) -> ErasedRead:
    """Forgets all credentials at once, since members of the projects may be among them."""
    credentials.forget()
    log.info("user_erased", user_id=user_id, **asdict(erased))
    return ErasedRead.model_validate(erased)
