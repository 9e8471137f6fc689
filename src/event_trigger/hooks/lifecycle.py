"""Makes, replaces and deletes a trigger's hook: an unguessable URL and its sender's secret."""

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.audit.session import REPLACED
from event_trigger.auth.credential_cache import hash_credential
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.lifecycle import KeyRotation
from event_trigger.errors import Conflict, NotFound
from event_trigger.hooks.repository import Hooks
from event_trigger.models import Hook, Trigger, Verify
from event_trigger.triggers.hook_port import HookSecrets, verify_in
from event_trigger.triggers.repository import Triggers
from event_trigger.vault import SealBroken, Sealed, Vault, new_secret

log = structlog.get_logger()

_TOKEN_BYTES = 32
_HOOKS_PER_BATCH = 100


class NoHook(Conflict):
    slug, title = "no-hook", "The trigger has no hook"
    default_detail = "This trigger has no hook. Set its details.hook first."


@dataclass(frozen=True, slots=True)
class TriggerHooks:
    """Makes, lists and deletes the hooks of triggers; implements `triggers/hook_port.py`."""

    vault: Vault

    async def follow_details(
        self, session: AsyncSession, trigger: Trigger, *, before: Mapping[str, Any]
    ) -> HookSecrets | None:
        """Makes or deletes the hook as changed details ask; gives the secrets of a new hook."""
        wanted = verify_in(trigger.details)
        if wanted == verify_in(before):
            return None
        if wanted is None:
            await self.delete(session, trigger.id)
            return None
        return await _make(session, self.vault, trigger, wanted)

    async def list_tokens(
        self, session: AsyncSession, trigger_ids: Collection[int]
    ) -> Mapping[int, str]:
        """Returns the hooks' tokens by trigger id.

        Leaves out hooks whose key was lost: their triggers are shown, and can be rotated.
        """
        hooks = await Hooks(session).list_of(trigger_ids)
        tokens = ((one.trigger_id, self._token_of(one)) for one in hooks)
        return {trigger_id: token for trigger_id, token in tokens if token is not None}

    async def delete(self, session: AsyncSession, *trigger_ids: int) -> None:
        await Hooks(session).delete(trigger_ids)

    def _token_of(self, hook: Hook) -> str | None:
        try:
            return open_hook(hook, self.vault).token
        except SealBroken:
            log.warning("hook_unreadable", trigger_id=hook.trigger_id)
            return None


async def rotate(session: AsyncSession, vault: Vault, key: OwnedId) -> tuple[Trigger, HookSecrets]:
    """Replaces a hook's URL and secret, even if they cannot be read any more.

    A call that was looked up before the commit may still fire by the old URL.
    """
    trigger = await Triggers(session).get_locked(key)
    if trigger is None:
        raise NotFound
    verify = verify_in(trigger.details)
    if verify is None:
        raise NoHook
    made = await _make(session, vault, trigger, verify)
    trigger.updated_at = await database_now(session)
    await session.flush()
    await record(
        session,
        "hook",
        trigger.id,
        after={"url": REPLACED, "secret": REPLACED},
        project_id=trigger.owner_id,
    )
    return trigger, made


def open_hook(hook: Hook, vault: Vault) -> HookSecrets:
    """Decrypts a hook's secrets; raises SealBroken if its key is no longer in the settings."""
    plain = vault.open(Sealed(hook.key_id, hook.sealed), owner_id=hook.owner_id)
    return HookSecrets(**json.loads(plain))


def seal_hook(opened: HookSecrets, vault: Vault, *, owner_id: int) -> Sealed:
    plain = {"token": opened.token, "secret": opened.secret}
    return vault.seal(json.dumps(plain).encode(), owner_id=owner_id)


async def _make(
    session: AsyncSession, vault: Vault, trigger: Trigger, verify: Verify
) -> HookSecrets:
    made = HookSecrets(secrets.token_urlsafe(_TOKEN_BYTES), _secret_for(verify))
    sealed = seal_hook(made, vault, owner_id=trigger.owner_id)
    await Hooks(session).put(
        OwnedId(trigger.owner_id, trigger.id),
        token_hash=hash_credential(made.token),
        verify=verify,
        sealed=sealed,
    )
    return made


def _secret_for(verify: Verify) -> str | None:
    match verify:
        case Verify.STANDARD_WEBHOOKS:
            return new_secret()
        case Verify.GITHUB:
            return secrets.token_hex(_TOKEN_BYTES)  # GitHub signs with the text as it is
        case Verify.NONE:
            return None
    assert_never(verify)


async def rotate_hook_keys(sessions: Sessions, vault: Vault) -> KeyRotation:
    """Encrypts all hooks under the current key, in batches.

    `KeyRotation` names unreadable hooks by their triggers' ids.
    """
    count, unreadable, after = 0, list[int](), 0
    while True:
        async with sessions.begin() as session:
            found = await Hooks(session).list_under_other_keys(
                vault.current, after=after, limit=_HOOKS_PER_BATCH
            )
            unreadable += [one.trigger_id for one in found if not _reseal(one, vault)]
        count += len(found)
        if len(found) < _HOOKS_PER_BATCH:
            return KeyRotation(count - len(unreadable), unreadable)
        after = found[-1].trigger_id


def _reseal(hook: Hook, vault: Vault) -> bool:
    try:
        opened = open_hook(hook, vault)
    except SealBroken:
        return False
    sealed = seal_hook(opened, vault, owner_id=hook.owner_id)
    hook.sealed, hook.key_id = sealed.data, sealed.key_id
    return True
