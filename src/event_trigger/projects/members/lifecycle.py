"""Adds members to a project, changes their roles and removes them; the last owner stays."""

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.email_addresses import fold_address
from event_trigger.auth.logins.throttle import FailureCounts, lookups_of
from event_trigger.auth.memberships import Member, Memberships
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.api_keys import ApiKeys
from event_trigger.auth.repository.users import Users
from event_trigger.db.engine import Sessions
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.models import ProjectRole
from event_trigger.projects.lifecycle import (
    MAX_OWNED,
    OwnerRequired,
    TooManyProjects,
    lock,
    lock_as_owner,
    role_in,
)
from event_trigger.projects.repository import Invitations

MAX_MEMBERS = 1000


async def find_account(
    sessions: Sessions, principal: Principal, *, email: str, address: str | None
) -> int:
    """Returns the id of the user with an e-mail address; too many failures make the caller wait.

    The count is locked until the outcome is known, so that parallel tries learn no more. Only newer
    accounts are stored in canonical spelling. `address` is the caller's IP address.
    """
    lookups = lookups_of(user_id=principal.user_id, address=address)
    async with sessions.begin() as session:
        await FailureCounts(session).count_attempt(lookups)
        user = await Users(session).get_by_email(email.strip().lower(), fold_address(email))
        if user is not None:
            await FailureCounts(session).take_back(lookups)
    if user is None:
        raise Invalid.at(
            ["email"],
            "There is no account with this address. Invite the person instead, with POST"
            " /projects/{id}/invitations.",
        )
    return user.id


class AlreadyMember(Conflict):
    slug, title = "already-member", "Already a member"
    default_detail = (
        "This user is a member of the project already, and keeps the role. The project's owners"
        " change it with PATCH /projects/{id}/members/{user_id}."
    )


class TooManyMembers(Conflict):
    slug, title = "too-many-members", "Too many members"
    default_detail = (
        f"The project has {MAX_MEMBERS} members, the most that one may have. Remove one first."
    )


class OwnsTooMany(TooManyProjects):
    default_detail = (
        f"This user owns {MAX_OWNED} projects, the most that one user may. Give another role, or"
        " let the user leave or delete a project first."
    )


class LastOwner(Conflict):
    slug, title = "last-owner", "The last owner"
    default_detail = (
        "This is the project's only owner who can sign in. Make another member an owner first."
    )


class OwnProject(Conflict):
    slug, title = "own-project", "A user's own project"
    default_detail = (
        "This is the project that the user has from the start, who stays its owner. Create a"
        " project (POST /projects) for what you want to hand over."
    )


async def add(
    session: AsyncSession, principal: Principal, project_id: int, user_id: int, role: ProjectRole
) -> Member:
    await lock_as_owner(session, principal, project_id)
    return await join(session, project_id, user_id, role)


async def join(session: AsyncSession, project_id: int, user_id: int, role: ProjectRole) -> Member:
    """Adds a member to a locked project; raises AlreadyMember, TooManyMembers or OwnsTooMany.

    Keys of an earlier membership stay ended, also one that was made while it was lost.
    """
    memberships = Memberships(session)
    if await Users(session).get_locked(user_id) is None:  # erased just now
        raise NotFound
    if await memberships.get_member(project_id, user_id) is not None:
        raise AlreadyMember
    if await memberships.count_members(project_id) >= MAX_MEMBERS:
        raise TooManyMembers
    await _check_may_own(session, user_id, role)
    await ApiKeys(session).end_in_project(project_id, user_id=user_id)
    await memberships.add_member(project_id, user_id, role)
    await notify(session, CREDENTIALS_CHANGED, str(user_id))
    await record(session, "member", user_id, after={"role": role}, project_id=project_id)
    return await _get_one(session, project_id, user_id)


async def change_role(
    session: AsyncSession,
    principal: Principal,
    project_id: int,
    user_id: int,
    role: ProjectRole | None,
) -> Member:
    """Changes a member's role, unless it is None; raises LastOwner, OwnProject or OwnsTooMany.

    An owner who becomes something else takes back the invitations that it made.
    """
    await lock_as_owner(session, principal, project_id)
    member = await _lock_one(session, project_id, user_id)
    if role is None or role is member.role:
        return member
    await _check_owner_remains(session, project_id, member)
    await _check_may_own(session, user_id, role)
    await Memberships(session).change_role(project_id, user_id, role)
    withdrawn = await Invitations(session).delete_made_by(project_id, user_id)
    await record(
        session,
        "member",
        user_id,
        before={"role": member.role},
        after={"role": role, **_counted(withdrawn_invitations=withdrawn)},
        project_id=project_id,
    )
    return member._replace(role=role)


async def remove(
    session: AsyncSession, principal: Principal, project_id: int, user_id: int
) -> None:
    """Removes a member, and ends its keys and invitations in the project.

    Members may remove themselves, owners everybody. Raises LastOwner or OwnProject.
    """
    await lock(session, project_id)
    role = await role_in(session, principal, project_id)
    if role is not ProjectRole.OWNER and user_id != principal.user_id:
        raise OwnerRequired(role)
    member = await _lock_one(session, project_id, user_id)
    await _check_owner_remains(session, project_id, member)
    ended = await ApiKeys(session).end_in_project(project_id, user_id=user_id)
    withdrawn = await Invitations(session).delete_made_by(project_id, user_id)
    await Memberships(session).remove_member(project_id, user_id)
    await record(
        session,
        "member",
        user_id,
        before={"role": member.role},
        after=_counted(ended_keys=ended, withdrawn_invitations=withdrawn),
        project_id=project_id,
    )


def _counted(**numbers: int) -> dict[str, int]:
    return {name: number for name, number in numbers.items() if number}


async def _get_one(session: AsyncSession, project_id: int, user_id: int) -> Member:
    member = await Memberships(session).get_member(project_id, user_id)
    if member is None:
        raise NotFound
    return member


async def _lock_one(session: AsyncSession, project_id: int, user_id: int) -> Member:
    """Locks the user of a member whose project is locked; raises NotFound."""
    member = await _get_one(session, project_id, user_id)
    await Users(session).get_locked(user_id)
    return member


async def _check_may_own(session: AsyncSession, user_id: int, role: ProjectRole) -> None:
    """Raises OwnsTooMany if a locked user would own more projects than one may."""
    if (
        role is ProjectRole.OWNER
        and await Memberships(session).count_owned_by(user_id) >= MAX_OWNED
    ):
        raise OwnsTooMany


async def _check_owner_remains(session: AsyncSession, project_id: int, leaving: Member) -> None:
    if leaving.user_id == project_id:
        raise OwnProject
    if leaving.role is not ProjectRole.OWNER:
        return
    if await Memberships(session).count_owners(project_id, besides=leaving.user_id) == 0:
        raise LastOwner
