"""Signing in, staying so by rotating refresh tokens (RFC 9700, section 4.14), signing out."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.passwords import Passwords
from event_trigger.auth.repository import Logins, Users
from event_trigger.auth.schemas import TokenRead
from event_trigger.auth.tokens import ACCESS_FOR, Tokens
from event_trigger.db.engine import Sessions
from event_trigger.errors import Unauthorized
from event_trigger.models import User

LOGIN_FOR = timedelta(days=30)


class WrongLogin(Unauthorized):
    """Says the same of an unknown account, a wrong password and a disabled user."""

    slug, title = "wrong-login", "Wrong login"
    default_detail = "The address or the password is wrong."


class RefreshRefused(Unauthorized):
    slug, title = "refresh-refused", "Refresh token refused"
    default_detail = "This refresh token is unknown, expired or ended. Sign in again."


class RefreshReused(RefreshRefused):
    """Somebody holds a copy: the whole family ends, so the refusal keeps what it wrote."""

    keeps_writes = True


async def sign_in(
    sessions: Sessions, passwords: Passwords, tokens: Tokens, *, email: str, password: str
) -> TokenRead:
    """Hashes outside any transaction: a crowd at the door must not take up the connections."""
    async with sessions() as session:
        user = await Users(session).get_by_email(email)
    known = user if user is not None and user.disabled_at is None else None
    password_hash = None if known is None else known.password_hash
    if not await passwords.verify(password, password_hash) or known is None:
        raise WrongLogin
    async with sessions.begin() as session:
        if not await Users(session).lock_unchanged(known):  # hashing takes a while
            raise WrongLogin
        login_id = uuid4()
        await Logins(session).add(login_id, known.id, LOGIN_FOR)
        return await _issue(session, tokens, user=known, login_id=login_id)


async def refresh(session: AsyncSession, tokens: Tokens, *, refresh_token: str) -> TokenRead:
    """Trades a refresh token for new ones; one that was traded before ends its family."""
    logins = Logins(session)
    token = await logins.claim_token(_hash(refresh_token))
    if token is None:
        raise RefreshRefused
    if token.used_at is not None:
        await logins.revoke(token.login_id)
        raise RefreshReused
    user = await logins.get_user_of(token.login_id)
    if user is None:
        raise RefreshRefused
    await logins.record_used(token.id)
    return await _issue(session, tokens, user=user, login_id=token.login_id)


async def _issue(session: AsyncSession, tokens: Tokens, *, user: User, login_id: UUID) -> TokenRead:
    refresh_token = f"etr_{secrets.token_urlsafe(32)}"
    await Logins(session).add_token(login_id, _hash(refresh_token))
    return TokenRead(
        access_token=tokens.issue(user_id=user.id, login_id=login_id),
        expires_in=int(ACCESS_FOR.total_seconds()),
        refresh_token=refresh_token,
    )


def _hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
