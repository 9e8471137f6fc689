"""Creates and changes accounts, for registration, admins, the operator and the first start."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.email_addresses import fold_address
from event_trigger.auth.memberships import Memberships
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.repository.api_keys import ApiKeys
from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.repository.password_resets import PasswordResets
from event_trigger.auth.repository.users import Users
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.errors import Conflict, Forbidden, NotFound
from event_trigger.models import Role, User


class LastAdmin(Conflict):
    slug, title = "last-admin", "The last admin"
    default_detail = "This is the only admin who can sign in. Make another one first."


class AddressTaken(Conflict):
    default_detail = "There is an account with this address already."


class NoLongerAdmin(Forbidden):
    slug, title = "no-longer-admin", "No longer an admin"
    default_detail = "You are no longer an admin."


@dataclass(frozen=True, slots=True)
class AccountChange:
    """An admin's change of an account; None leaves a value as it is."""

    role: Role | None = None
    disabled: bool | None = None


async def add_user(
    sessions: Sessions, passwords: PasswordHasher, *, email: str, password: str, role: Role
) -> User:
    """Adds a user, hashing outside any transaction; raises AddressTaken."""
    password_hash = await passwords.hash(password)
    async with sessions.begin() as session:
        return await add_account(session, email=email, password_hash=password_hash, role=role)


async def add_account(session: AsyncSession, *, email: str, password_hash: str, role: Role) -> User:
    """Adds a user with a project of its own; raises AddressTaken."""
    user = await Users(session).add(email=email, password_hash=password_hash, role=role)
    if user is None:
        raise AddressTaken
    await Memberships(session).add_own(user)
    await record(session, "user", user.id, after={"email": email, "role": role})
    return user


async def set_password(
    sessions: Sessions, passwords: PasswordHasher, *, email: str, password: str
) -> None:
    """Changes a password and ends all the user's logins; API keys stay."""
    password_hash = await passwords.hash(password)
    async with sessions.begin() as session:
        user = await get_one_by_address(session, email)
        user.password_hash = password_hash
        await session.flush()
        await Logins(session).revoke_all_of(user.id)
        await PasswordResets(session).end_all_of(user.id)


async def disable_user(sessions: Sessions, *, email: str) -> None:
    """Ends an account's logins and keys at once; its triggers stay and keep firing."""
    async with sessions.begin() as session:
        user = await get_one_by_address(session, email)
        await _set_disabled(session, user, at=await database_now(session))


async def change_account(
    session: AsyncSession, user_id: int, change: AccountChange, *, by: int
) -> User:
    """Changes an account; raises LastAdmin if no admin would be left.

    It locks all admins first, and raises NoLongerAdmin if the caller has just been demoted.
    """
    users = Users(session)
    admins = await users.lock_admins()
    if by not in {one.id for one in admins}:
        raise NoLongerAdmin
    user = await users.get_locked(user_id)
    if user is None:
        raise NotFound
    stays = change.role is not Role.USER and change.disabled is not True
    if not stays and [one.id for one in admins] == [user.id]:
        raise LastAdmin
    if not stays:
        await end_all_projects(session, user.id)
    if change.role is not None:
        user.role = change.role
    if change.disabled is not None and change.disabled != (user.disabled_at is not None):
        await _set_disabled(
            session, user, at=await database_now(session) if change.disabled else None
        )
    await session.flush()
    await notify(session, CREDENTIALS_CHANGED, str(user.id))
    return user


async def _set_disabled(session: AsyncSession, user: User, *, at: datetime | None) -> None:
    """Disables or enables a user; ends all logins and, when disabling, all keys."""
    user.disabled_at = at
    await session.flush()
    await Logins(session).revoke_all_of(user.id)
    if at is not None:
        await end_all_projects(session, user.id)
    if at is not None and (ended := await ApiKeys(session).end_all_of(user.id)):
        await record(session, "key", after={"ended": ended, "user_id": user.id})


async def end_all_projects(session: AsyncSession, user_id: int) -> None:
    """Ends what destinations hear of all projects by the leave of this user."""
    for project_id, destination_id in await Users(session).end_all_projects(user_id):
        await record(
            session,
            "destination",
            destination_id,
            before={"all_projects": True},
            after={"all_projects": False},
            project_id=project_id,
        )


async def get_one_by_address(session: AsyncSession, email: str) -> User:
    """Finds a user by address, which only newer accounts have in canonical spelling.

    Raises NotFound.
    """
    user = await Users(session).get_by_email(email.strip().lower(), fold_address(email))
    if user is None:
        raise NotFound("There is no user with this address.")
    return user


async def has_users(sessions: Sessions) -> bool:
    async with sessions() as session:
        return await Users(session).exist()


async def add_first_admin(
    sessions: Sessions, passwords: PasswordHasher, *, email: str, password: str
) -> bool:
    """Adds an admin if there is no user at all; returns whether it did."""
    if await has_users(sessions):
        return False
    try:
        await add_user(sessions, passwords, email=email, password=password, role=Role.ADMIN)
    except Conflict:  # another replica was faster
        return False
    return True
