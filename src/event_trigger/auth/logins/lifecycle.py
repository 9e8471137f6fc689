"""Signs users in and out, and rotates refresh tokens (RFC 9700, section 4.14)."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.actor import identify_actor
from event_trigger.audit.recorder import record
from event_trigger.auth.logins import password_check
from event_trigger.auth.logins.password_check import GivenPassword
from event_trigger.auth.logins.throttle import TooManyFailures
from event_trigger.auth.memberships import Memberships
from event_trigger.auth.passwords.hashing import PasswordHasher, TooManySignIns
from event_trigger.auth.repository.logins import (
    IDLE_SESSION_LIFETIME,
    LOGIN_LIFETIME,
    Logins,
    Origin,
)
from event_trigger.auth.repository.users import Users
from event_trigger.auth.schemas import TokenRead
from event_trigger.auth.scopes import Scope, held_scopes
from event_trigger.auth.session_cookie import COOKIE_PREFIX
from event_trigger.auth.tokens import ACCESS_TOKEN_LIFETIME, Tokens
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.errors import BadRequest, Unauthorized
from event_trigger.models import ActorKind, Role, User
from event_trigger.telemetry import SIGN_INS, SignInOutcome

REFRESH_REUSE_GRACE = timedelta(seconds=10)  # a second use within it is not taken for theft


class WrongLogin(Unauthorized):
    """Answers an unknown account, a wrong password and a disabled user in the same way."""

    slug, title = "wrong-login", "Wrong login"
    default_detail = "The address or the password is wrong."


class RefreshRefused(Unauthorized):
    slug, title = "refresh-refused", "Refresh token refused"
    default_detail = "This refresh token is unknown, expired or ended. Sign in again."


class RefreshReused(RefreshRefused):
    """Answers a reused refresh token; it commits, so that the revocation of the login lasts."""

    keeps_writes = True


class NoScopeLeft(BadRequest):
    slug, title = "invalid-scope", "No such scope"
    default_detail = (
        "None of these scopes is yours. Leave 'scope' empty, or ask for some of: "
        + ", ".join(Scope)
        + "."
    )


class ScopeTooWide(BadRequest):
    slug, title = "invalid-scope", "No such scope"
    default_detail = (
        "A refresh can only narrow: ask for scopes that the login holds, or leave 'scope' empty to"
        " have all of them."
    )


@dataclass(frozen=True, slots=True)
class SignIn:
    """A request to sign in. `scopes` are the requested ones; None means all.

    `email` is the typed address in lower case, under which older accounts are stored; `account` is
    its canonical spelling.
    """

    email: str
    account: str
    password: str
    origin: Origin
    scopes: frozenset[str] | None


async def sign_in(
    sessions: Sessions, passwords: PasswordHasher, tokens: Tokens, request: SignIn
) -> TokenRead:
    """Checks a password and starts a login, unless the account was changed during the check."""
    async with _counted(), _started(sessions, passwords, request) as started:
        return await _issue(
            started.session,
            tokens,
            user=started.user,
            login_id=started.login_id,
            scopes=started.scopes,
        )


async def sign_in_browser(sessions: Sessions, passwords: PasswordHasher, request: SignIn) -> str:
    """Checks a password as `sign_in` does, and returns the value of a session's cookie."""
    async with _counted():
        cookie = f"{COOKIE_PREFIX}{secrets.token_urlsafe(32)}"
        async with _started(sessions, passwords, request, cookie_hash=_hash(cookie)):
            return cookie


@asynccontextmanager
async def _counted() -> AsyncIterator[None]:
    try:
        yield
    except WrongLogin:
        SIGN_INS[SignInOutcome.WRONG].inc()
        raise
    except (TooManyFailures, TooManySignIns):
        SIGN_INS[SignInOutcome.THROTTLED].inc()
        raise
    SIGN_INS[SignInOutcome.SUCCEEDED].inc()


@dataclass(frozen=True, slots=True)
class _Started:
    """A login that is stored when the session commits."""

    session: AsyncSession
    user: User
    login_id: UUID
    scopes: frozenset[Scope] | None


@asynccontextmanager
async def _started(
    sessions: Sessions,
    passwords: PasswordHasher,
    request: SignIn,
    *,
    cookie_hash: bytes | None = None,
) -> AsyncIterator[_Started]:
    enabled = await check_password(sessions, passwords, request)
    scopes = None
    if request.scopes is not None:
        scopes = held_scopes(Role(enabled.role), request.scopes)
    if scopes is not None and not scopes:
        raise NoScopeLeft
    identify_actor(ActorKind.LOGIN, user_id=enabled.id)
    async with sessions.begin() as session:
        if not await Users(session).lock_unchanged(enabled):
            raise WrongLogin
        login_id = uuid4()
        await Logins(session).add(
            login_id,
            enabled.id,
            LOGIN_LIFETIME if cookie_hash is None else IDLE_SESSION_LIFETIME,
            scopes=scopes,
            origin=request.origin,
            cookie_hash=cookie_hash,
        )
        yield _Started(session, enabled, login_id, scopes)


async def check_password(sessions: Sessions, passwords: PasswordHasher, request: SignIn) -> User:
    """Returns the enabled user with this address and password; raises WrongLogin."""
    given = GivenPassword(request.email, request.account, request.password, request.origin.address)
    return await password_check.check_password(sessions, passwords, given, refusal=WrongLogin())


async def refresh(
    session: AsyncSession,
    tokens: Tokens,
    *,
    refresh_token: str,
    origin: Origin,
    scopes: frozenset[str] | None = None,
) -> TokenRead:
    """Exchanges a refresh token for new tokens; the access token has only `scopes`, if given.

    A token that was used less than 10 s ago is accepted again: the answer was lost, or two tabs
    used it at once. A later reuse means that somebody holds a copy, and revokes the whole login.
    """
    logins = Logins(session)
    token = await logins.claim_token(_hash(refresh_token))
    if token is None:
        raise RefreshRefused
    if (
        token.used_at is not None
        and await database_now(session) > token.used_at + REFRESH_REUSE_GRACE
    ):
        user_id = await logins.revoke(token.login_id)
        if user_id is not None:  # only once, so that an old token cannot fill the audit log
            after = {"revoked": "a refresh token was used twice", "user_id": user_id}
            await record(session, "login", after=after)
        raise RefreshReused
    found = await logins.get_of_token(token)
    if found is None:
        raise RefreshRefused
    login, user = found
    if scopes is not None:
        scopes = _narrowed(scopes, held_scopes(Role(user.role), login.scopes))
    if token.used_at is None:
        await logins.record_used(token.id)
    await logins.note_refreshed(login.id, origin)
    return await _issue(
        session,
        tokens,
        user=user,
        login_id=login.id,
        scopes=login.scopes if scopes is None else scopes,
        narrowed_to=scopes,
    )


def _narrowed(wanted: frozenset[str], held: frozenset[str]) -> frozenset[str] | None:
    """Returns None for all that are held: some clients name them at each refresh."""
    if not wanted <= held:
        raise ScopeTooWide
    return None if wanted == held else wanted


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
    narrowed_to: frozenset[str] | None = None,
) -> TokenRead:
    _, project_role = await Memberships(session).get_default(user)
    refresh_token = f"etr_{secrets.token_urlsafe(32)}"
    await Logins(session).add_token(login_id, _hash(refresh_token))
    return TokenRead(
        access_token=tokens.issue(
            user_id=user.id,
            login_id=login_id,
            at=await database_now(session),
            scopes=narrowed_to,
        ),
        expires_in=int(ACCESS_TOKEN_LIFETIME.total_seconds()),
        refresh_token=refresh_token,
        scope=" ".join(sorted(held_scopes(Role(user.role), scopes, project_role=project_role))),
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
