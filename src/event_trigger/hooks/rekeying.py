"""Seals hooks under the current key when an operator replaces it."""

from event_trigger.db.engine import Sessions
from event_trigger.destinations.lifecycle import Rotated
from event_trigger.models import Hook
from event_trigger.triggers.hooks import open_hook, seal_hook
from event_trigger.triggers.repository import Hooks
from event_trigger.vault import SealBroken, Vault

_BATCH = 100


async def rotate_hook_keys(sessions: Sessions, vault: Vault) -> Rotated:
    """As destinations' `rotate_keys`; what cannot be read is named by the triggers' ids."""
    count, unreadable, after = 0, list[int](), 0
    while True:
        async with sessions.begin() as session:
            found = await Hooks(session).list_under_other_keys(
                vault.current, after=after, limit=_BATCH
            )
            unreadable += [one.trigger_id for one in found if not _reseal(one, vault)]
        count += len(found)
        if len(found) < _BATCH:
            return Rotated(count - len(unreadable), unreadable)
        after = found[-1].trigger_id


def _reseal(hook: Hook, vault: Vault) -> bool:
    try:
        opened = open_hook(hook, vault)
    except SealBroken:
        return False
    sealed = seal_hook(opened, vault, owner_id=hook.owner_id)
    hook.sealed, hook.key_id = sealed.data, sealed.key_id
    return True
