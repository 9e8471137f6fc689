"""Remembers hooks that are called, so that most calls cost no query of their own.

A remembered hook decides nothing by itself: firing compares the instant of its trigger's last
change, and each change of a hook moves that in the same transaction.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from event_trigger.db.engine import Sessions
from event_trigger.db.shards import OwnedId
from event_trigger.db.shared_lookup import SharedLookup
from event_trigger.hooks.acceptance import Acceptance
from event_trigger.hooks.repository import Hooks
from event_trigger.hooks.sealing import SenderSecrets, options_of, secrets_of
from event_trigger.hooks.verifiers import Verifier
from event_trigger.models import Hook, Verify
from event_trigger.vault import Vault

MOST_REMEMBERED = 10_000  # hooks; the ones that were not called for longest are forgotten first
_NO_SECRETS = SenderSecrets(None, ())


@dataclass(frozen=True)
class CalledHook:
    """A hook as calls find it; all that follows from its row alone is made once."""

    row: Hook
    vault: Vault = field(repr=False)

    @cached_property
    def trigger(self) -> OwnedId:
        return OwnedId(self.row.owner_id, self.row.trigger_id)

    @cached_property
    def accepts(self) -> Acceptance:
        return Acceptance.of(options_of(self.row))

    @cached_property
    def verifier(self) -> Verifier:
        return Verifier.of(options_of(self.row))

    @cached_property
    def secrets(self) -> SenderSecrets:
        """A hook that verifies nothing has none, and works without the key. Raises SealBroken."""
        if self.row.verify == Verify.NONE:
            return _NO_SECRETS
        return secrets_of(self.row, self.vault)

    def is_same_as(self, other: "CalledHook") -> bool:
        """Tells whether two readings of a hook found the same."""
        return _content(self.row) == _content(other.row)


def _content(row: Hook) -> tuple[object, ...]:
    return row.trigger_id, row.verify, row.options, row.sealed, row.former, row.key_id


class KnownHook(NamedTuple):
    """The last change of a hook's trigger, as a call has read it, and the hook since then.

    The hook is None until it was read while this was known to be the last change.
    """

    configured_at: datetime
    hook: CalledHook | None


class KnownHooks:
    """The hooks that one process remembers, by the hash of their token.

    1. The first call of a hook looks it up. Firing reads when its trigger was last changed.
    2. The second one looks it up again. If firing reads the same instant, nothing was changed since
       the first call, and so this hook is the one of that instant.
    3. The following ones take this hook, and firing refuses them once the instant is another.
    """

    def __init__(self, *, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[bytes, KnownHook] = OrderedDict()

    def get(self, token_hash: bytes) -> KnownHook | None:
        """Returns what is known of a hook; has to be asked before the hook is looked up."""
        known = self._known.get(token_hash)
        if known is not None:
            self._known.move_to_end(token_hash)
        return known

    def learn(
        self,
        token_hash: bytes,
        hook: CalledHook,
        *,
        before: KnownHook | None,
        configured_at: datetime,
    ) -> None:
        """Notes a call that has fired: what was known `before` its hook was looked up, and since.

        `configured_at` is the last change of the trigger that it has fired.
        """
        is_certain = before is not None and before.configured_at == configured_at
        self._known[token_hash] = KnownHook(configured_at, hook if is_certain else None)
        if len(self._known) > self._most:
            self._known.popitem(last=False)


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
