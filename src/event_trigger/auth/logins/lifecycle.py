"""Signing in, staying so by rotating refresh tokens (RFC 9700, section 4.14), signing out."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import identified, record, record_failed_sign_in
from event_trigger.auth.email_addresses import shown_account
from event_trigger.auth.logins.throttle import Failures, subjects_of
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.repository import Logins, Users
from event_trigger.auth.schemas import TokenRead
from event_trigger.auth.scopes import Scope, held
from event_trigger.auth.tokens import ACCESS_FOR, Tokens
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.errors import BadRequest, Unauthorized
from event_trigger.models import ActorKind, Role, User

LOGIN_FOR = timedelta(days=30)
GRACE = timedelta(seconds=10)  # in which a refresh token that was used is not yet a stolen one


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


class NothingLeft(BadRequest):
    slug, title = "invalid-scope", "No such scope"
    default_detail = (
        "None of these scopes is yours. Leave 'scope' empty, or ask for some of: "
        + ", ".join(Scope)
        + "."
    )


@dataclass(frozen=True, slots=True)
class SignIn:
    """Holds what a caller typed to sign in; `scopes` are asked for, and None stands for all.

    `email` is what was typed, in lower case; `account` the same as accounts are named now.
    """

    email: str
    account: str
    password: str
    address: str | None
    scopes: frozenset[str] | None


async def sign_in(
    sessions: Sessions, passwords: PasswordHasher, tokens: Tokens, said: SignIn
) -> TokenRead:
    """Hashes outside any transaction: a crowd at the door must not take up the connections.

    A caller that has guessed too often is refused before it waits for a place. Once it has one, a
    failure is counted before the password is checked, so that parallel guesses all count.
    """
    subjects = subjects_of(email=said.account, address=said.address)
    async with sessions() as session:
        await Failures(session).check(subjects)
    async with passwords.place():
        async with sessions.begin() as session:
            await Failures(session).take(subjects)
            user = await Users(session).get_by_email(said.email, said.account)
        known = user if user is not None and user.disabled_at is None else None
        password_hash = None if known is None else known.password_hash
        fits = await passwords.verify(said.password, password_hash)
        async with sessions.begin() as session:
            if fits:
                await Failures(session).forgive(*subjects)
            else:
                named, user_id = shown_account(said.account), None if user is None else user.id
                await record_failed_sign_in(session, named, user_id)
    if not fits or known is None:
        raise WrongLogin
    scopes = None if said.scopes is None else held(Role(known.role), said.scopes)
    if scopes is not None and not scopes:
        raise NothingLeft
    identified(ActorKind.LOGIN, user_id=known.id)
    async with sessions.begin() as session:
        if not await Users(session).lock_unchanged(known):  # hashing takes a while
            raise WrongLogin
        login_id = uuid4()
        await Logins(session).add(login_id, known.id, LOGIN_FOR, scopes=scopes)
        return await _issue(session, tokens, user=known, login_id=login_id, scopes=scopes)


async def refresh(session: AsyncSession, tokens: Tokens, *, refresh_token: str) -> TokenRead:
    """Trades a refresh token for new ones.

    One that was traded a moment ago is traded again: the answer was lost, or two tabs asked at
    once. Later than that somebody holds a copy, and its family ends.
    """
    logins = Logins(session)
    token = await logins.claim_token(_hash(refresh_token))
    if token is None:
        raise RefreshRefused
    if token.used_at is not None and await database_now(session) > token.used_at + GRACE:
        user_id = await logins.revoke(token.login_id)
        if user_id is not None:  # only the first time: nobody fills the log with an old token
            why = {"revoked": "a refresh token was used twice", "user_id": user_id}
            await record(session, "login", after=why)
        raise RefreshReused
    found = await logins.get_of_token(token)
    if found is None:
        raise RefreshRefused
    login, user = found
    if token.used_at is None:
        await logins.record_used(token.id)
    return await _issue(session, tokens, user=user, login_id=login.id, scopes=login.scopes)


async def sign_out(session: AsyncSession, login_id: UUID) -> None:
    if await Logins(session).revoke(login_id) is not None:
        await record(session, "login", after={"revoked": "signed out"})


async def _issue(
    session: AsyncSession,
    tokens: Tokens,
    *,
    user: User,
    login_id: UUID,
    scopes: Iterable[str] | None,
) -> TokenRead:
    refresh_token = f"etr_{secrets.token_urlsafe(32)}"
    await Logins(session).add_token(login_id, _hash(refresh_token))
    return TokenRead(
        access_token=tokens.issue(
            user_id=user.id, login_id=login_id, at=await database_now(session)
        ),
        expires_in=int(ACCESS_FOR.total_seconds()),
        refresh_token=refresh_token,
        scope=" ".join(sorted(held(Role(user.role), scopes))),
    )


def _hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
