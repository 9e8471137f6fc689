"""Changes one's own account: the password, and the project of calls that name none."""

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.logins.password_check import WrongPassword, check_own_password
from event_trigger.auth.memberships import Memberships
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.api_keys import ApiKeys
from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.repository.password_resets import PasswordResets
from event_trigger.auth.repository.users import Users
from event_trigger.auth.sessions.lifecycle import LiveLogins, VisibleLogins
from event_trigger.db.engine import Sessions
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.errors import Invalid, Unauthorized
from event_trigger.models import User


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A change of a password, asked for from `address`; `end_keys` ends the user's keys, too."""

    current: str = field(repr=False)
    new: str = field(repr=False)
    end_keys: bool
    address: str | None


async def change_password(
    sessions: Sessions, passwords: PasswordHasher, login: Principal, wanted: NewSecret
) -> None:
    """Replaces the password of a login's user, and ends all the user's other logins.

    1. Refuse a caller that has guessed too often, by the same counts as at sign-in.
    2. Verify the current password outside any transaction, as sign-in does.
    3. Hash the new one, also outside.
    4. Store it, unless the account or the login was changed while the hashes were computed.
    """
    if wanted.new == wanted.current:
        raise Invalid.at(["new"], "This is the password that you have. Choose another one.")
    user = await check_own_password(
        sessions,
        passwords,
        login.user_id,
        wanted.current,
        address=wanted.address,
        place="current",
    )
    password_hash = await passwords.hash(wanted.new)
    async with sessions.begin() as session:
        locked = await Users(session).get_locked(login.user_id)
        await _check_unchanged(session, login, before=user, now=locked)
        assert locked is not None
        locked.password_hash = password_hash
        await session.flush()
        await _end_others(session, login, end_keys=wanted.end_keys)
        await PasswordResets(session).end_all_of(login.user_id)


async def _check_unchanged(
    session: AsyncSession, login: Principal, *, before: User, now: User | None
) -> None:
    """Raises Unauthorized if the login has ended, and WrongPassword if another call was faster."""
    assert login.login_id is not None
    if now is None or await Logins(session).get_with_user(login.login_id, now.id) is None:
        raise Unauthorized
    if now.password_hash != before.password_hash:
        raise WrongPassword("current")


async def _end_others(session: AsyncSession, login: Principal, *, end_keys: bool) -> None:
    assert login.login_id is not None
    every = VisibleLogins(login.user_id, scopes=None)
    ended = await LiveLogins(session).end_others(every, but=login.login_id)
    if ended:
        await record(session, "login", after={"revoked": "a new password", "ended": ended})
    if end_keys and (keys := await ApiKeys(session).end_all_of(login.user_id)):
        await record(session, "key", after={"ended": keys, "user_id": login.user_id})
    await notify(session, CREDENTIALS_CHANGED, str(login.user_id))


async def set_default_project(
    session: AsyncSession, login: Principal, project_id: int | None
) -> None:
    """Sets the project of calls that name none; raises Invalid for one of which one is no member.

    The project is locked first, as by all that change its members.
    """
    memberships = Memberships(session)
    if project_id is not None and (
        await memberships.role_in(project_id, login.user_id) is None
        or await memberships.get_project_locked(project_id) is None
    ):
        detail = "You are a member of no such project. GET /projects lists yours."
        raise Invalid.at(["default_project_id"], detail)
    user = await Users(session).get_locked(login.user_id)
    if user is None:
        raise Unauthorized
    user.default_project_id = project_id
    await session.flush()
    await notify(session, CREDENTIALS_CHANGED, str(user.id))
