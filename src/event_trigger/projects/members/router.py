"""HTTP operations on the members of a project."""

from event_trigger.auth.dependencies import CredentialsDep, OriginDep, PrincipalDep
from event_trigger.auth.idempotency import IDEMPOTENT_IN_NAMED_PROJECT
from event_trigger.auth.logins.throttle import TooManyFailures
from event_trigger.auth.memberships import Memberships
from event_trigger.db.transactions import after_commit
from event_trigger.errors import (
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.projects.dependencies import FULL_LOGIN, MEMBER, OWNER
from event_trigger.projects.lifecycle import FullLoginRequired
from event_trigger.projects.members import lifecycle
from event_trigger.projects.members.lifecycle import find_account
from event_trigger.projects.schemas import MemberAdd, MemberRead, MemberUpdate
from event_trigger.web.dependencies import SessionDep, SessionsDep
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.schemas import PathId
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/projects/{project_id}/members",
    tags=["projects"],
    responses=problems(Unauthorized, FullLoginRequired, NotFound, Invalid),
    dependencies=[FULL_LOGIN],
)


@router.get("", summary="List members", operation_id="list_members", dependencies=[MEMBER])
async def list_members(
    project_id: PathId, session: SessionDep, paging: PageQueryDep
) -> list[MemberRead]:
    """Lists the members of the project, newest first.

    The `Link` header with `rel="next"` leads to the next page.
    """
    page = await Memberships(session).list_members(
        project_id, before=paging.before_instant(), limit=paging.limit
    )
    members = paging.rows_of(page, lambda one: (one.since, one.user_id))
    return [MemberRead.model_validate(one) for one in members]


@router.post(
    "",
    summary="Add a member",
    operation_id="add_member",
    dependencies=[OWNER, IDEMPOTENT_IN_NAMED_PROJECT],
    status_code=201,
    responses=problems(lifecycle.AlreadyMember, UnsupportedMediaType, TooManyFailures),
)
async def add_member(
    project_id: PathId,
    body: MemberAdd,
    principal: PrincipalDep,
    origin: OriginDep,
    sessions: SessionsDep,
    session: SessionDep,
    credentials: CredentialsDep,
) -> MemberRead:
    """Adds somebody who has an account; `POST /projects/{id}/invitations` invites all others.

    This needs the role `owner`. Addresses without an account are limited, as wrong passwords are:
    after ten, one more every 30 seconds. Beyond that, the answer is 429 with `Retry-After`.
    """
    user_id = await find_account(sessions, principal, email=body.email, address=origin.address)
    member = await lifecycle.add(session, principal, project_id, user_id, body.role)
    after_commit(session, lambda: credentials.forget(str(member.user_id)))
    return MemberRead.model_validate(member)


@router.patch(
    "/{user_id}",
    summary="Change a member's role",
    operation_id="update_member",
    dependencies=[OWNER],
    responses=problems(lifecycle.LastOwner, UnsupportedMediaType),
)
async def update_member(
    project_id: PathId,
    user_id: PathId,
    body: MemberUpdate,
    principal: PrincipalDep,
    sessions: SessionsDep,
    credentials: CredentialsDep,
) -> MemberRead:
    """Changes a member's role, on every replica within a second. This needs the role `owner`.

    The last owner keeps the role, and so does the user whose own project this is.
    """
    async with sessions.begin() as session:
        member = await lifecycle.change_role(session, principal, project_id, user_id, body.role)
    credentials.forget(str(user_id))
    return MemberRead.model_validate(member)


@router.delete(
    "/{user_id}",
    summary="Remove a member, or leave",
    operation_id="remove_member",
    dependencies=[MEMBER],
    status_code=204,
    responses=problems(lifecycle.LastOwner),
)
async def remove_member(
    project_id: PathId,
    user_id: PathId,
    principal: PrincipalDep,
    sessions: SessionsDep,
    credentials: CredentialsDep,
) -> None:
    """Removes a member, on every replica within a second. With your own id, you leave.

    The user's API keys in the project end. Removing others needs the role `owner`. The last owner
    stays, and so does the user whose own project this is.
    """
    async with sessions.begin() as session:
        await lifecycle.remove(session, principal, project_id, user_id)
    credentials.forget(str(user_id))
