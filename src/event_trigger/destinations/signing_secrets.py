"""Seals and opens a destination's secrets: its signing secrets and extra headers."""

import json
from dataclasses import dataclass, field
from datetime import datetime

from event_trigger.models import Destination
from event_trigger.vault import Sealed, Vault


@dataclass(frozen=True, slots=True)
class RetiredSecret:
    """A signing secret that was replaced, and also signs until an instant."""

    secret: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets in the clear; in `previous`, the newest comes first."""

    current: str
    previous: tuple[RetiredSecret, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)

    def signing(self, *, now: datetime) -> list[str]:
        """Returns the secrets that sign at an instant, the current one first."""
        return [self.current, *(one.secret for one in self.overlapping(now=now))]

    def overlapping(self, *, now: datetime) -> tuple[RetiredSecret, ...]:
        return tuple(one for one in self.previous if now < one.until)


def seal_into(destination: Destination, secrets: Secrets, vault: Vault) -> None:
    plain = {
        "current": secrets.current,
        "previous": [[one.secret, one.until.isoformat()] for one in secrets.previous],
        "headers": secrets.headers,
    }
    sealed = vault.seal(json.dumps(plain).encode(), owner_id=destination.owner_id)
    destination.sealed, destination.key_id = sealed.data, sealed.key_id
    destination.header_names = list(secrets.headers)


def open_secrets(vault: Vault, *, owner_id: int, key_id: str, sealed: bytes) -> Secrets:
    """Decrypts secrets; raises SealBroken when `key_id` is not among the settings any more."""
    plain = json.loads(vault.open(Sealed(key_id, sealed), owner_id=owner_id))
    previous = (
        RetiredSecret(one, datetime.fromisoformat(until)) for one, until in plain["previous"]
    )
    return Secrets(plain["current"], tuple(previous), plain["headers"])


def secrets_of(destination: Destination, vault: Vault) -> Secrets:
    return open_secrets(
        vault,
        owner_id=destination.owner_id,
        key_id=destination.key_id,
        sealed=destination.sealed,
    )
