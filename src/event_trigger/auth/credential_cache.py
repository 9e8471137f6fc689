"""Knows for a moment whom a token speaks for, so that a call costs no query of its own."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from event_trigger.auth.principal import Credential, Principal
from event_trigger.auth.repository import ApiKeys, Logins
from event_trigger.auth.scopes import held
from event_trigger.auth.tokens import AccessClaims, Tokens
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.engine import Sessions
from event_trigger.models import Role

KEY_PREFIX = "etk_"
LONGEST_KEY = 100
KNOWN_FOR = 0.9  # seconds: a revocation holds within one, also when its notification is lost
MOST_KNOWN = 10_000


def hash_of(key: str) -> bytes:
    """All that is kept of a key: it is too long to be guessed from this."""
    return hashlib.sha256(key.encode(errors="replace")).digest()


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    asked_at: float


@dataclass(frozen=True, slots=True)
class _Asking:
    task: asyncio.Task[Principal | None]
    asked_at: float


class CredentialCache:
    """Asks the database about a credential now and then, once for all who come meanwhile."""

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
        self._known: OrderedDict[Credential, _Known] = OrderedDict()
        self._asking: dict[Credential, _Asking] = {}

    async def identify(self, token: str) -> Principal | None:
        """None for what is unknown, expired, revoked, or a disabled user's."""
        if token.startswith(KEY_PREFIX):
            return await self._ask(hash_of(token)) if len(token) <= LONGEST_KEY else None
        claims = self._tokens.read(token, at=await self._database_clock.now())
        principal = None if claims is None else await self._ask(claims)
        if claims is None or principal is None:
            return None
        return replace(principal, expires_at=claims.expires_at)

    async def is_current(self, principal: Principal) -> bool:
        """Whether the credential still says what it said; not whether it has expired by itself."""
        now = await self._ask(principal.credential)
        return now is not None and replace(now, expires_at=principal.expires_at) == principal

    def forget(self, user: str = "") -> None:
        """Something of a user was revoked, or of anybody, if a notification may have been lost."""
        self._asking.clear()  # what they are about to hear may be from before
        for credential, known in list(self._known.items()):
            if not user or str(known.principal.user_id) == user:
                del self._known[credential]

    async def _ask(self, credential: Credential) -> Principal | None:
        known = self._known.get(credential)
        if known is not None and self._clock() < known.asked_at + KNOWN_FOR:
            return known.principal
        asking = self._asking.get(credential)
        if asking is None or self._clock() >= asking.asked_at + KNOWN_FOR:  # it may hang
            task = asyncio.create_task(self._look_up(credential))
            asking = self._asking[credential] = _Asking(task, self._clock())
        return await asyncio.shield(asking.task)

    async def _look_up(self, credential: Credential) -> Principal | None:
        asked_at, me = self._clock(), asyncio.current_task()
        try:
            principal = await self._read(credential)
        finally:
            asking = self._asking.get(credential)
            is_wanted = asking is not None and asking.task is me
            if is_wanted:
                del self._asking[credential]
        if principal is not None and is_wanted:
            self._known[credential] = _Known(principal, asked_at)
            self._known.move_to_end(credential)
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
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
            held(role, login.scopes),
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
            held(role, key.scopes),
            key_hash,
            key_id=key.id,
            trigger_ids=None if key.trigger_ids is None else frozenset(key.trigger_ids),
            expires_at=key.expires_at,
        )
