"""Turns a request to a hook into a call of its trigger, in both ways of answering."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from event_trigger.auth.credential_cache import hash_of
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
    """Reads the calls of hooks, whose signed times are judged by the database's clock."""

    finder: TokenLookup
    vault: Vault
    clock: DatabaseClock

    async def read(
        self, token: str, headers: Mapping[str, str], body: bytes, *, hops: Sequence[str]
    ) -> Call:
        """The call that a sender made; `headers` have names in lower case.

        `hops` are the values of the header that counts deliveries, as often as it was sent. Raises
        NotFound for an unknown token, SignatureRefused, or Invalid for an id or a body that cannot
        be taken: in this order, so that strangers learn nothing about the trigger.
        """
        hook = await self.finder.find(hash_of(token))
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
        """A hook that verifies nothing has no secret, and works when its key was lost as well."""
        return "" if hook.verify == Verify.NONE else open_hook(hook, self.vault).secret or ""


def _read(body: bytes) -> SentBody | None:
    if not body:
        return None
    try:
        value = loads(body)
    except json.JSONDecodeError as error:
        raise Invalid.at([], f"This is not acceptable JSON: {error.msg}.") from None
    if not isinstance(value, dict):
        raise Invalid.at([], "Send a JSON object, or nothing.")
    return SentBody(value, body.decode())
