"""Erases users, with their own projects and those in which they are alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.email_addresses import fold_address
from event_trigger.auth.logins.password_check import WrongPassword
from event_trigger.auth.memberships import Memberships
from event_trigger.auth.repository.api_keys import ApiKeys
from event_trigger.auth.repository.users import Users
from event_trigger.auth.users import LastAdmin, NoLongerAdmin, end_all_projects
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.erasure.projects import ProjectContents, count_contents, end_project
from event_trigger.erasure.repository import ErasedAccount
from event_trigger.errors import Conflict, NotFound
from event_trigger.idempotency.repository import delete_with_emails
from event_trigger.models import Project, ProjectRole, Role, User

_MOST_NAMED = 20  # projects in one refusal


class StillNeeded(Conflict):
    """Names the projects of other people that keep a user from being erased."""

    slug, title = "still-needed", "Other members depend on this user"

    def __init__(self, sole_owner_of: Sequence[Project] = (), own: Project | None = None) -> None:
        parts = []
        if sole_owner_of:
            named = ", ".join(f"{one.id} ({one.name})" for one in sole_owner_of[:_MOST_NAMED])
            more = len(sole_owner_of) - _MOST_NAMED
            parts.append(
                f"These projects have other members and no other owner: {named}"
                f"{f' and {more} more' if more > 0 else ''}. Make another member an owner, or"
                " delete the project, first."
            )
        if own is not None:
            parts.append(
                f"Project {own.id} is the user's own, and would be deleted with all that its"
                " other members have in it. Remove them first."
            )
        super().__init__(" ".join(parts) or "Other members depend on this user.")

    @classmethod
    def example(cls) -> Self:
        return cls(own=Project(id=7, name="Billing"))


class JustChanged(Conflict):
    slug, title = "just-changed", "The account has just changed"
    default_detail = "This user has just got another role, or joined or left a project. Try again."


class OwnAccount(Conflict):
    slug, title = "own-account", "This is your own account"
    default_detail = "Erase your own account with DELETE /auth/me, which asks for your password."


@dataclass(frozen=True, slots=True)
class Erased:
    """The numbers of rows that go, or went, with a user; names are in none of them."""

    projects: int
    triggers: int
    destinations: int
    keys: int
    logins: int


@dataclass(frozen=True, slots=True)
class _Going:
    """A locked user, and the locked projects that go with it."""

    user: User
    projects: Sequence[Project]


async def erase_user(
    session: AsyncSession,
    user_id: int,
    *,
    by_admin: int | None = None,
    password_hash: str | None = None,
) -> Erased:
    """Erases a user; a job takes the address out of the audit log, and deletes the rows.

    `by_admin` is the caller if that is another user; `password_hash` is the password that the
    caller has given. Raises NotFound, OwnAccount, LastAdmin, NoLongerAdmin or StillNeeded.

    1. Locks the projects, then the user: nobody joins, leaves or signs in until the commit.
    2. Ends the projects that go with the user.
    3. Deletes invitations and kept answers that hold the user's address, and ends what destinations
       hear of all projects by the user's leave.
    4. Deletes the user's row, and with it logins, keys and memberships.
    """
    if by_admin == user_id:
        raise OwnAccount
    going = await _lock(session, user_id, by_admin=by_admin)
    if password_hash not in {None, going.user.password_hash}:
        raise WrongPassword("password")
    account = ErasedAccount(session, user_id)
    logins, keys = await account.count_logins(), await ApiKeys(session).count_of(user_id)
    emails = sorted({going.user.email, fold_address(going.user.email)})
    ended = [
        await end_project(session, one.id, erased_emails=emails if one.id == user_id else [])
        for one in going.projects
    ]
    await account.delete_invitations(emails)
    await delete_with_emails(session, emails)
    await end_all_projects(session, user_id)
    await account.lock_tokens()
    await account.delete()
    erased = _sum(ended, logins=logins, keys=keys)
    await record(session, "user", user_id, after={"erased": asdict(erased)})
    await notify(session, CREDENTIALS_CHANGED, str(user_id))
    return erased


async def preview_erasure(session: AsyncSession, user_id: int) -> Erased:
    """Counts the rows that would go with a user; raises the problems of `erase_user`."""
    going = await _lock(session, user_id, by_admin=None)
    contents = [await count_contents(session, one.id) for one in going.projects]
    logins = await ErasedAccount(session, user_id).count_logins()
    return _sum(contents, logins=logins, keys=await ApiKeys(session).count_of(user_id))


async def _lock(session: AsyncSession, user_id: int, *, by_admin: int | None) -> _Going:
    """Locks projects before users, as a change of members does, to avoid deadlocks.

    All admins are locked only if one of them erases or is erased: a locked admin cannot sign in.
    """
    users, memberships = Users(session), Memberships(session)
    await _make_sure_of_own_project(session, user_id)
    found = await _list_projects(session, user_id)
    for project_id in found:
        await memberships.get_project_locked(project_id)
    role = await ErasedAccount(session, user_id).get_role()
    is_about_admins = by_admin is not None or role == Role.ADMIN
    admins = {one.id for one in await users.lock_admins()} if is_about_admins else set()
    user = await users.get_locked(user_id)
    if by_admin is not None and by_admin not in admins:
        raise NoLongerAdmin
    if user is None:
        raise NotFound
    if admins == {user_id}:
        raise LastAdmin
    if user.role != role or await _list_projects(session, user_id) != found:
        raise JustChanged
    return _Going(user, await _projects_going(session, user))


async def _make_sure_of_own_project(session: AsyncSession, user_id: int) -> None:
    """Adds the project of a user that the version before projects has added."""
    if await Memberships(session).role_in(user_id, user_id) is None:
        user = await session.get(User, user_id)
        if user is None:
            raise NotFound
        await Memberships(session).add_own(user)
        session.expunge(user)  # it is read again under its lock


async def _list_projects(session: AsyncSession, user_id: int) -> list[int]:
    return [project.id for project, _ in await Memberships(session).list_of(user_id)]


async def _projects_going(session: AsyncSession, user: User) -> list[Project]:
    """Returns the user's own project and those without other members; raises StillNeeded."""
    memberships = Memberships(session)
    going, sole_owner_of, own = [], [], None
    for project, role in await memberships.list_of(user.id):
        if await memberships.count_members(project.id) == 1:
            going.append(project)
        elif project.id == user.id:
            own = project
        elif role is ProjectRole.OWNER:
            itself = int(user.disabled_at is None)
            if await memberships.count_owners(project.id) == itself:
                sole_owner_of.append(project)
    if sole_owner_of or own is not None:
        raise StillNeeded(sole_owner_of, own)
    return going


def _sum(contents: Sequence[ProjectContents], *, logins: int, keys: int) -> Erased:
    return Erased(
        projects=len(contents),
        triggers=sum(one.triggers for one in contents),
        destinations=sum(one.destinations for one in contents),
        keys=keys,
        logins=logins,
    )
