"""Making accounts and ending them: by registration, by the operator, at the first start."""

from event_trigger.auth.passwords import Passwords
from event_trigger.auth.repository import Logins, Users
from event_trigger.db.engine import Sessions
from event_trigger.errors import Conflict, NotFound
from event_trigger.models import Role, User


async def add_user(
    sessions: Sessions, passwords: Passwords, *, email: str, password: str, role: Role
) -> User:
    """Hashes outside any transaction; raises Conflict when the address is taken."""
    password_hash = await passwords.hash(password)
    async with sessions.begin() as session:
        user = await Users(session).add(email=email, password_hash=password_hash, role=role)
    if user is None:
        raise Conflict("There is an account with this address already.")
    return user


async def set_password(
    sessions: Sessions, passwords: Passwords, *, email: str, password: str
) -> None:
    """Changes a password and ends all logins made with the old one."""
    password_hash = await passwords.hash(password)
    async with sessions.begin() as session:
        user = await _get_one(Users(session), email)
        await Users(session).set_password(user.id, password_hash)
        await Logins(session).revoke_all_of(user.id)


async def disable_user(sessions: Sessions, *, email: str) -> None:
    """Ends an account's logins at once; its triggers stay, and go on firing."""
    async with sessions.begin() as session:
        user = await _get_one(Users(session), email)
        await Users(session).disable(user.id)
        await Logins(session).revoke_all_of(user.id)


async def _get_one(users: Users, email: str) -> User:
    user = await users.get_by_email(email)
    if user is None:
        raise NotFound("There is no user with this address.")
    return user


async def has_users(sessions: Sessions) -> bool:
    async with sessions() as session:
        return await Users(session).exist()


async def add_first_admin(
    sessions: Sessions, passwords: Passwords, *, email: str, password: str
) -> bool:
    """Makes the first admin if there is no user at all; says whether it did."""
    if await has_users(sessions):
        return False
    try:
        await add_user(sessions, passwords, email=email, password=password, role=Role.ADMIN)
    except Conflict:  # another replica was quicker
        return False
    return True
