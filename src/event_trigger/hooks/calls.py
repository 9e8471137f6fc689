"""Turns a request to a hook into a call of its trigger, for the router and the fast path."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from event_trigger.auth.credential_cache import hash_credential
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.http.hops import parse_hops
from event_trigger.errors import Invalid, NotFound
from event_trigger.firing.fire import Call, SentBody
from event_trigger.hooks.lifecycle import open_hook
from event_trigger.hooks.token_lookup import TokenLookup
from event_trigger.hooks.verifiers import check_signature, idempotency_key
from event_trigger.models import Hook, Verify
from event_trigger.vault import Vault
from event_trigger.web.strict_json import loads


@dataclass(frozen=True, slots=True)
class HookCalls:
    """Reads calls of hooks; the database's clock judges their signed times."""

    lookup: TokenLookup
    vault: Vault
    clock: DatabaseClock

    async def read(
        self, token: str, headers: Mapping[str, str], body: bytes, *, hops: Sequence[str]
    ) -> Call:
        """Reads and verifies a call; `headers` have names in lower case.

        `hops` are all values of the header that counts deliveries. Raises NotFound for an unknown
        token, SignatureRefused, or Invalid for an id or a body that cannot be accepted: in this
        order, so that strangers learn nothing about the trigger.

        1. Looks up the hook by its token.
        2. Checks the signature over the body.
        3. Reads the id that makes repetitions one event, and the body.
        """
        hook = await self.lookup.find(hash_credential(token))
        if hook is None:
            raise NotFound
        verify = Verify(hook.verify)
        now = await self.clock.now()
        check_signature(verify, self._secret_of(hook), headers, body, now=now)
        key = idempotency_key(verify, headers)
        trigger = OwnedId(hook.owner_id, hook.trigger_id)
        return Call(
            trigger,
            _read(body),
            is_test=False,
            idempotency_key=key,
            compares_body=False,
            hops=parse_hops(hops),
        )

    def _secret_of(self, hook: Hook) -> str:
        """Returns the secret; a hook that verifies nothing has none, and works without its key."""
        return "" if hook.verify == Verify.NONE else open_hook(hook, self.vault).secret or ""


def _read(body: bytes) -> SentBody | None:
    if not body:
        return None
    try:
        value = loads(body)
    except json.JSONDecodeError as error:
        raise Invalid.at([], f"This is not acceptable JSON: {error.msg}.") from None
    if not isinstance(value, dict):
        raise Invalid.at([], "Send a JSON object as the body, or no body.")
    return SentBody(value, body.decode())
