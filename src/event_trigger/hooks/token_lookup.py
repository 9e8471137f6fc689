"""Looks up hooks by token; calls that arrive during a query share the next one.

Nothing is remembered here: `known_hooks.py` knows when a remembered hook still counts.
"""

from collections.abc import Collection

from event_trigger.db.engine import Sessions
from event_trigger.db.shared_lookup import SharedLookup
from event_trigger.hooks.repository import Hooks
from event_trigger.models import Hook


class TokenLookup:
    """Looks up all hooks that are called in this process over one connection."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lookup: SharedLookup[bytes, Hook] = SharedLookup(self._read)

    async def find(self, token_hash: bytes) -> Hook | None:
        """Gets the hook whose token has this hash, as it is now, or None."""
        return await self._lookup.find(token_hash)

    async def _read(self, token_hashes: Collection[bytes]) -> dict[bytes, Hook]:
        async with self._sessions() as session:
            hooks = await Hooks(session).list_by_hash(token_hashes)
        return {hook.token_hash: hook for hook in hooks}
