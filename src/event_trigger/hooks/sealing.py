"""Seals and opens what is secret about a hook: its token, its secret, and its former secrets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from event_trigger.models import Hook
from event_trigger.triggers.hook_port import HookSecrets
from event_trigger.vault import SealBroken, Sealed, Vault


@dataclass(frozen=True, slots=True)
class FormerSecret:
    """A secret that was replaced, and still counts until an instant."""

    secret: str = field(repr=False)
    until: datetime


def open_hook(hook: Hook, vault: Vault) -> HookSecrets:
    """Decrypts a hook's secrets; raises SealBroken if its key is no longer in the settings."""
    plain = vault.open(Sealed(hook.key_id, hook.sealed), owner_id=hook.owner_id)
    return HookSecrets(**json.loads(plain))


def seal_hook(opened: HookSecrets, vault: Vault, *, owner_id: int) -> Sealed:
    """Encrypts in the form that the version before reads: former secrets are sealed apart."""
    plain = {"token": opened.token, "secret": opened.secret}
    return vault.seal(json.dumps(plain).encode(), owner_id=owner_id)


def seal_into(
    hook: Hook, opened: HookSecrets, former: Sequence[FormerSecret], vault: Vault
) -> None:
    """Replaces all secrets of a hook."""
    sealed = seal_hook(opened, vault, owner_id=hook.owner_id)
    hook.sealed, hook.key_id, hook.former = sealed.data, sealed.key_id, None
    if former:
        plain = {
            "token": opened.token,
            "secrets": [[one.secret, one.until.isoformat()] for one in former],
        }
        hook.former = vault.seal(json.dumps(plain).encode(), owner_id=hook.owner_id).data


def former_of(hook: Hook, opened: HookSecrets, vault: Vault) -> list[FormerSecret]:
    """Returns the former secrets of the hook with this token, newest first.

    A replica of the version before replaces tokens and leaves this column as it is, so secrets
    that belong to another token, or are under another key, are over.
    """
    if hook.former is None:
        return []
    try:
        plain = json.loads(vault.open(Sealed(hook.key_id, hook.former), owner_id=hook.owner_id))
    except SealBroken:
        return []
    if plain["token"] != opened.token:
        return []
    return [FormerSecret(one, datetime.fromisoformat(until)) for one, until in plain["secrets"]]


@dataclass(frozen=True, slots=True)
class SenderSecrets:
    """The secrets that calls of a hook may be signed with."""

    current: str | None = field(repr=False)
    former: Sequence[FormerSecret]

    def at(self, now: datetime) -> list[str]:
        """Returns the secrets that count at an instant, the current one first."""
        former = [one.secret for one in self.former if now < one.until]
        return former if self.current is None else [self.current, *former]


def secrets_of(hook: Hook, vault: Vault) -> SenderSecrets:
    """Decrypts a hook's secrets; raises SealBroken if its key is no longer in the settings."""
    opened = open_hook(hook, vault)
    return SenderSecrets(opened.secret, former_of(hook, opened, vault))


def options_of(hook: Hook) -> Mapping[str, Any]:
    """Returns the options of a hook; one of a version before has its `verify` alone."""
    options = hook.options
    is_current = options is not None and options.get("verify") == hook.verify
    return options if options is not None and is_current else {"verify": hook.verify}
