"""A trigger's hook: a URL that nobody can guess, and the secret that its calls are signed with."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import REPLACED, record
from event_trigger.auth.credential_cache import hash_of
from event_trigger.db.clock import database_now
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Conflict, NotFound
from event_trigger.models import Hook, Trigger, Verify
from event_trigger.triggers.repository import Hooks, Triggers
from event_trigger.vault import Sealed, Vault, new_secret

_TOKEN_BYTES = 32


class NoHook(Conflict):
    slug, title = "no-hook", "The trigger has no hook"
    default_detail = "This trigger has no hook. Set its details.hook first."


@dataclass(frozen=True, slots=True)
class HookSecrets:
    """What a sender is told: the last part of the URL, and what to sign with, if it has to."""

    token: str = field(repr=False)
    secret: str | None = field(repr=False)


def verify_in(details: Mapping[str, Any]) -> Verify | None:
    hook = details.get("hook")
    return None if hook is None else Verify(hook["verify"])


async def follow_details(
    session: AsyncSession, vault: Vault, trigger: Trigger, *, before: Mapping[str, Any]
) -> HookSecrets | None:
    """Makes or ends the hook as a change of the details asks; gives the secrets of a new one."""
    wanted = verify_in(trigger.details)
    if wanted == verify_in(before):
        return None
    if wanted is None:
        await Hooks(session).delete(trigger.id)
        return None
    return await _make(session, vault, trigger, wanted)


async def rotate(session: AsyncSession, vault: Vault, key: OwnedId) -> tuple[Trigger, HookSecrets]:
    """Replaces the URL and the secret, also those that cannot be read any more.

    A call that has found the old URL before this commits may still fire.
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
    await record(session, "hook", trigger.id, after={"url": REPLACED, "secret": REPLACED})
    return trigger, made


def open_hook(hook: Hook, vault: Vault) -> HookSecrets:
    """Raises SealBroken when the key it is under is not among the settings any more."""
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
        token_hash=hash_of(made.token),
        verify=verify,
        sealed=sealed,
    )
    return made


def _secret_for(verify: Verify) -> str | None:
    match verify:
        case Verify.STANDARD_WEBHOOKS:
            return new_secret()
        case Verify.GITHUB:
            return secrets.token_hex(_TOKEN_BYTES)  # any text: GitHub signs with it as it stands
        case Verify.NONE:
            return None
    assert_never(verify)
