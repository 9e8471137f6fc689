"""Makes, changes and deletes a trigger's hook: an unguessable URL and its sender's secret."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import REPLACED, record
from event_trigger.auth.credential_cache import hash_credential
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.hooks.repository import Hooks, list_hooks, stored_options
from event_trigger.hooks.sealing import open_hook, seal_hook, seal_into
from event_trigger.models import Hook, Trigger, TriggerType, Verify
from event_trigger.triggers.hook_port import HookSecrets, differs, hook_in
from event_trigger.triggers.hook_secrets import make_secret
from event_trigger.vault import SealBroken, Vault

log = structlog.get_logger()

_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class TriggerHooks:
    """Makes, lists and deletes the hooks of triggers; implements `triggers/hook_port.py`."""

    vault: Vault

    async def follow_details(
        self,
        session: AsyncSession,
        trigger: Trigger,
        *,
        before: Mapping[str, Any],
        given: str | None,
    ) -> HookSecrets | None:
        """Makes, changes or deletes the hook as changed details and a given secret ask.

        Another kind of verification makes a new hook. Other options or another secret leave its
        URL as it is, since the sender has it already.
        """
        wanted, had = hook_in(trigger.details), hook_in(before)
        if wanted is None:
            if had is not None:
                await self.delete(session, trigger.id)
            return None
        if had is None or wanted["verify"] != had["verify"]:
            return await make_hook(session, self.vault, trigger, given)
        if given is None and wanted == had:
            return None
        return await self._change(session, trigger, given)

    async def _change(
        self, session: AsyncSession, trigger: Trigger, given: str | None
    ) -> HookSecrets | None:
        """Changes the options and the secret of a hook; makes a new one if its key was lost."""
        hook = await Hooks(session).get_locked(trigger.id)
        if hook is None:
            return await make_hook(session, self.vault, trigger, given)
        hook.options = stored_options(_options_for(trigger))
        if given is not None:
            try:
                opened = open_hook(hook, self.vault)
            except SealBroken:
                return await make_hook(session, self.vault, trigger, given)
            if differs(given, opened.secret):
                seal_into(hook, HookSecrets(opened.token, given), (), self.vault)
                await record_replaced(session, trigger, "secret")
        await session.flush()
        return None

    async def list_opened(
        self, session: ReadSession, trigger_ids: Collection[int]
    ) -> Mapping[int, HookSecrets]:
        """Returns what is secret about hooks by trigger id.

        Leaves out hooks whose key was lost: their triggers are shown, and can be rotated.
        """
        hooks = await list_hooks(session, trigger_ids)
        opened = ((one.trigger_id, self._opened(one)) for one in hooks)
        return {trigger_id: found for trigger_id, found in opened if found is not None}

    async def delete(self, session: AsyncSession, *trigger_ids: int) -> None:
        await Hooks(session).delete(trigger_ids)

    def _opened(self, hook: Hook) -> HookSecrets | None:
        try:
            return open_hook(hook, self.vault)
        except SealBroken:
            log.warning("hook_unreadable", trigger_id=hook.trigger_id)
            return None


async def make_hook(
    session: AsyncSession, vault: Vault, trigger: Trigger, given: str | None
) -> HookSecrets:
    """Makes a hook, or replaces it; returns its secret only if that was made here."""
    options = _options_for(trigger)
    made = None if given is not None else make_secret(Verify(options["verify"]))
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    opened = HookSecrets(token, made if given is None else given)
    await Hooks(session).put(
        OwnedId(trigger.owner_id, trigger.id),
        token_hash=hash_credential(token),
        options=options,
        sealed=seal_hook(opened, vault, owner_id=trigger.owner_id),
    )
    return HookSecrets(token, made)


def _options_for(trigger: Trigger) -> Mapping[str, Any]:
    """Returns `details.hook`, and for a heartbeat that its calls are pings."""
    options: Mapping[str, Any] = trigger.details["hook"]
    is_heartbeat = trigger.type == TriggerType.HEARTBEAT
    return {**options, "pings": True} if is_heartbeat else options


async def record_replaced(session: AsyncSession, trigger: Trigger, *names: str) -> None:
    """Records that the URL or the secret of a hook was replaced, without what it is now."""
    after = dict.fromkeys(names, REPLACED)
    await record(session, "hook", trigger.id, after=after, project_id=trigger.owner_id)
