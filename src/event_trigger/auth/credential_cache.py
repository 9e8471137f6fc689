"""Caches the principals of credentials for less than a second, so that calls need no query."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from event_trigger.auth.principal import Credential, Principal
from event_trigger.auth.repository import ApiKeys, Logins
from event_trigger.auth.scopes import held_scopes
from event_trigger.auth.tokens import AccessClaims, Tokens
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.engine import Sessions
from event_trigger.models import Role

KEY_PREFIX = "etk_"
LONGEST_KEY_CHARACTERS = 100
CACHED_SECONDS = 0.9  # a revocation must hold within 1 s, even if its notification is lost
MAX_CACHED_CREDENTIALS = 10_000


def hash_credential(key: str) -> bytes:
    """Hashes an API key for storage; the key is too long to be guessed from its SHA-256."""
    return hashlib.sha256(key.encode(errors="replace")).digest()


@dataclass(frozen=True, slots=True)
class _Cached:
    principal: Principal
    read_at: float


@dataclass(frozen=True, slots=True)
class _Lookup:
    task: asyncio.Task[Principal | None]
    started_at: float


class CredentialCache:
    """Caches each valid credential for 0.9 s; concurrent callers share a query.

    An invalid one is not cached: each call looks it up.
    """

    def __init__(
        self,
        sessions: Sessions,
        tokens: Tokens,
        database_clock: DatabaseClock,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._database_clock = database_clock
        self._clock = clock
        self._cached: OrderedDict[Credential, _Cached] = OrderedDict()
        self._lookups: dict[Credential, _Lookup] = {}

    async def identify(self, token: str) -> Principal | None:
        """Returns None for a credential that is unknown, expired, revoked or a disabled user's."""
        if token.startswith(KEY_PREFIX):
            is_plausible = len(token) <= LONGEST_KEY_CHARACTERS
            return await self._principal_of(hash_credential(token)) if is_plausible else None
        claims = self._tokens.read(token, at=await self._database_clock.now())
        principal = None if claims is None else await self._principal_of(claims)
        if claims is None or principal is None:
            return None
        return replace(principal, expires_at=claims.expires_at)

    async def is_current(self, principal: Principal) -> bool:
        """Tells whether the credential still has the same rights; its expiry is not checked."""
        now = await self._principal_of(principal.credential)
        return now is not None and replace(now, expires_at=principal.expires_at) == principal

    def forget(self, user: str = "") -> None:
        """Drops a user's credentials, given the id as text, after a change of them.

        With `""` it drops all, because notifications may have been lost.
        """
        self._lookups.clear()  # running lookups may have read the state before the change
        for credential, cached in list(self._cached.items()):
            if not user or str(cached.principal.user_id) == user:
                del self._cached[credential]

    async def _principal_of(self, credential: Credential) -> Principal | None:
        cached = self._cached.get(credential)
        if cached is not None and self._clock() < cached.read_at + CACHED_SECONDS:
            return cached.principal
        lookup = self._lookups.get(credential)
        if lookup is None or self._clock() >= lookup.started_at + CACHED_SECONDS:  # it may hang
            task = asyncio.create_task(self._look_up(credential))
            lookup = self._lookups[credential] = _Lookup(task, self._clock())
        return await asyncio.shield(lookup.task)

    async def _look_up(self, credential: Credential) -> Principal | None:
        started_at, me = self._clock(), asyncio.current_task()
        try:
            principal = await self._read(credential)
        finally:
            lookup = self._lookups.get(credential)
            is_latest = lookup is not None and lookup.task is me
            if is_latest:
                del self._lookups[credential]
        if principal is not None and is_latest:
            self._cached[credential] = _Cached(principal, started_at)
            self._cached.move_to_end(credential)
            while len(self._cached) > MAX_CACHED_CREDENTIALS:
                self._cached.popitem(last=False)
        return principal

    async def _read(self, credential: Credential) -> Principal | None:
        async with self._sessions.begin() as session:
            if isinstance(credential, AccessClaims):
                return await self._read_login(Logins(session), credential)
            return await self._read_key(ApiKeys(session), credential)

    async def _read_login(self, logins: Logins, claims: AccessClaims) -> Principal | None:
        found = await logins.get_with_user(claims.login_id, claims.user_id)
        if found is None:
            return None
        login, user = found
        role = Role(user.role)
        return Principal(
            user.id,
            role,
            held_scopes(role, login.scopes),
            claims,
            login_id=login.id,
            is_narrowed=login.scopes is not None,
        )

    async def _read_key(self, keys: ApiKeys, key_hash: bytes) -> Principal | None:
        found = await keys.get_with_user(key_hash)
        if found is None:
            return None
        key, user = found
        await keys.note_used(key)
        role = Role(user.role)
        return Principal(
            user.id,
            role,
            held_scopes(role, key.scopes),
            key_hash,
            key_id=key.id,
            trigger_ids=None if key.trigger_ids is None else frozenset(key.trigger_ids),
            expires_at=key.expires_at,
        )
