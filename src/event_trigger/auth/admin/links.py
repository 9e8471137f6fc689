"""Gives admins links that set a user's password, so that they never choose or see one."""

import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.credential_cache import hash_credential
from event_trigger.auth.keys.lifecycle import FRESH_LOGIN, Reauthenticate
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.repository.password_resets import PasswordResets
from event_trigger.auth.repository.users import Users
from event_trigger.auth.users import NoLongerAdmin, add_account
from event_trigger.db.clock import database_now
from event_trigger.errors import Conflict, NotFound, Unauthorized
from event_trigger.models import Role, User

LINK_LIFETIME = timedelta(hours=24)
_TOKEN_BYTES = 32


class UserDisabled(Conflict):
    slug, title = "user-disabled", "The user is disabled"
    default_detail = 'Enable the user first, with {"disabled": false}.'


class PasswordLink(NamedTuple):
    """A link's token, which is not stored, and its user."""

    user: User
    token: str
    expires_at: datetime


def unknown_password() -> str:
    """Returns a password that nobody knows, for an account that begins with a link."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


async def add_with_link(
    session: AsyncSession, admin: Principal, *, email: str, role: Role, password_hash: str
) -> PasswordLink:
    """Adds a user, whose first password comes by the link. Raises AddressTaken."""
    await _check_admin(session, admin)
    user = await add_account(session, email=email, password_hash=password_hash, role=role)
    return await _make_link(session, user)


async def make_link(session: AsyncSession, admin: Principal, user_id: int) -> PasswordLink:
    """Makes a link for a user who cannot sign in; their password and logins stay until it is used.

    Raises NotFound and UserDisabled.
    """
    await _check_admin(session, admin)
    user = await Users(session).get_locked(user_id)
    if user is None:
        raise NotFound
    if user.disabled_at is not None:
        raise UserDisabled
    return await _make_link(session, user)


async def _check_admin(session: AsyncSession, admin: Principal) -> None:
    """Raises NoLongerAdmin, or Reauthenticate if the password was given too long ago.

    Anybody who has such a link can become that user: a stolen session must not get one.
    """
    if admin.user_id not in {one.id for one in await Users(session).lock_admins()}:
        raise NoLongerAdmin
    assert admin.login_id is not None
    found = await Logins(session).get_with_user(admin.login_id, admin.user_id)
    if found is None:
        raise Unauthorized
    if await database_now(session) - found[0].created_at > FRESH_LOGIN:
        raise Reauthenticate


async def _make_link(session: AsyncSession, user: User) -> PasswordLink:
    token, now = secrets.token_urlsafe(_TOKEN_BYTES), await database_now(session)
    await PasswordResets(session).add(user.id, hash_credential(token), lasts=LINK_LIFETIME)
    await record(session, "user", user.id, after={"reset": "given to an admin"})
    return PasswordLink(user, token, now + LINK_LIFETIME)
