"""Caches the principals of credentials for less than a second, so that calls need no query.

A credential has a principal for each project that it is used in.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from event_trigger.auth.credential_reading import CredentialReader
from event_trigger.auth.principal import Credential, Principal, SessionCookie
from event_trigger.auth.project_header import Unnamed, WantedProject
from event_trigger.auth.session_cookie import COOKIE_PREFIX
from event_trigger.auth.tokens import Tokens
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.engine import Sessions
from event_trigger.errors import NotFound

K = TypeVar("K")
V = TypeVar("V")

KEY_PREFIX = "etk_"
LONGEST_SECRET_CHARACTERS = 100
CACHED_SECONDS = 0.9  # a revocation must hold within 1 s, even if its notification is lost
_REFRESHED_AFTER_SECONDS = 0.5  # a use after them reads it again, so that few calls wait
MAX_CACHED_CREDENTIALS = 10_000
MAX_CACHED_REFUSALS = 1_000


def hash_credential(key: str) -> bytes:
    """Hashes a key or a cookie for storage; it is too long to be guessed from its SHA-256."""
    return hashlib.sha256(key.encode(errors="replace")).digest()


@dataclass(frozen=True, slots=True)
class _Cached:
    principal: Principal
    read_at: float


@dataclass(frozen=True, slots=True)
class _Lookup:
    task: asyncio.Task[Principal | None]
    started_at: float


_Use = tuple[Credential, WantedProject]  # a credential, used in a project


class CredentialCache:
    """Caches each credential for 0.9 s, valid or not; concurrent callers share a query.

    One that is used after half a second is read again in the background.

    A new key or login is never among the refused ones: nobody knows it before it is stored, and
    one that has ended never works again. A project that was closed to a credential may open to it:
    a new project and a new member are announced, and then all refusals are dropped.
    """

    def __init__(
        self,
        sessions: Sessions,
        tokens: Tokens,
        database_clock: DatabaseClock,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = CredentialReader(sessions)
        self._tokens = tokens
        self._database_clock = database_clock
        self._clock = clock
        self._cached: OrderedDict[_Use, _Cached] = OrderedDict()
        self._refused_at: OrderedDict[Credential, float] = OrderedDict()
        self._closed_at: OrderedDict[_Use, float] = OrderedDict()  # projects, of good credentials
        self._lookups: dict[_Use, _Lookup] = {}

    async def identify(
        self, token: str, project: WantedProject = Unnamed.DEFAULT
    ) -> Principal | None:
        """Returns None for a credential that is unknown, expired, revoked or a disabled user's.

        Raises NotFound for a project that does not exist, or that the caller may not enter.
        """
        if token.startswith((KEY_PREFIX, COOKIE_PREFIX)):
            if len(token) > LONGEST_SECRET_CHARACTERS:
                return None
            hashed = hash_credential(token)
            is_key = token.startswith(KEY_PREFIX)
            return await self._principal_of((hashed if is_key else SessionCookie(hashed), project))
        claims = self._tokens.read(token, at=await self._database_clock.now())
        principal = None if claims is None else await self._principal_of((claims, project))
        if claims is None or principal is None:
            return None
        if principal.expires_at == claims.expires_at:
            return principal
        return replace(principal, expires_at=claims.expires_at)  # of another token of the login

    async def project_entered(self, principal: Principal, wanted: WantedProject) -> int | None:
        """Returns the project that a call of the caller would happen in; None if not in one."""
        try:
            there = await self._principal_of((principal.credential, wanted))
        except NotFound:
            return None
        return None if there is None else there.project_id

    async def is_current(self, principal: Principal) -> bool:
        """Tells whether the credential still has the same rights there, apart from its expiry."""
        try:
            now = await self._principal_of(_use_of(principal))
        except NotFound:
            return False
        return now is not None and replace(now, expires_at=principal.expires_at) == principal

    def trusted_seconds(self, principal: Principal) -> float:
        """Returns for how long `is_current` goes by its last answer: from 0 to CACHED_SECONDS."""
        cached = self._cached.get(_use_of(principal))
        if cached is None:
            return 0.0
        return max(0.0, cached.read_at + CACHED_SECONDS - self._clock())

    def forget(self, user: str = "") -> None:
        """Drops a user's credentials, given the id as text, after a change of them.

        With `""` it drops all, because notifications may have been lost.
        """
        self._lookups.clear()  # running lookups may have read the state before the change
        self._refused_at.clear()
        self._closed_at.clear()
        for use, cached in list(self._cached.items()):
            if not user or str(cached.principal.user_id) == user:
                del self._cached[use]

    async def _principal_of(self, use: _Use) -> Principal | None:
        cached = self._cached.get(use)
        if cached is not None and self._is_recent(cached.read_at):
            if self._clock() > cached.read_at + _REFRESHED_AFTER_SECONDS:
                self._begin_lookup(use)
            return cached.principal
        if self._is_recent(self._refused_at.get(use[0])):
            return None
        if self._is_recent(self._closed_at.get(use)):
            raise NotFound
        return await asyncio.shield(self._begin_lookup(use))

    def _begin_lookup(self, use: _Use) -> asyncio.Task[Principal | None]:
        """Joins the running lookup, or begins another if there is none, or it may hang."""
        lookup = self._lookups.get(use)
        if lookup is None or self._clock() >= lookup.started_at + CACHED_SECONDS:
            task = asyncio.create_task(self._look_up(use))
            task.add_done_callback(_take_error)
            lookup = self._lookups[use] = _Lookup(task, self._clock())
        return lookup.task

    def _is_recent(self, read_at: float | None) -> bool:
        return read_at is not None and self._clock() < read_at + CACHED_SECONDS

    async def _look_up(self, use: _Use) -> Principal | None:
        started_at = self._clock()
        try:
            principal = await self._reader.read(*use)
        except NotFound:
            if self._end_lookup(use):
                self._cached.pop(use, None)
                _keep(self._closed_at, use, started_at, most=MAX_CACHED_REFUSALS)
            raise
        except BaseException:
            self._end_lookup(use)
            raise
        if not self._end_lookup(use):
            return principal
        if principal is None:
            self._cached.pop(use, None)
            _keep(self._refused_at, use[0], started_at, most=MAX_CACHED_REFUSALS)
        else:
            _keep(self._cached, use, _Cached(principal, started_at), most=MAX_CACHED_CREDENTIALS)
        return principal

    def _end_lookup(self, use: _Use) -> bool:
        """Tells whether the running lookup is the latest; an older one must not be cached."""
        lookup = self._lookups.get(use)
        is_latest = lookup is not None and lookup.task is asyncio.current_task()
        if is_latest:
            del self._lookups[use]
        return is_latest


def _take_error(lookup: asyncio.Task[Principal | None]) -> None:
    """Marks the error of a lookup as known: the callers that wait for it get it, if there are."""
    if not lookup.cancelled():
        lookup.exception()


def _use_of(principal: Principal) -> _Use:
    project = Unnamed.ALL if principal.project_id is None else principal.project_id
    return principal.credential, project


def _keep(cached: OrderedDict[K, V], key: K, value: V, *, most: int) -> None:
    """Adds an entry as the newest, and drops the oldest ones beyond `most`."""
    cached[key] = value
    cached.move_to_end(key)
    while len(cached) > most:
        cached.popitem(last=False)
