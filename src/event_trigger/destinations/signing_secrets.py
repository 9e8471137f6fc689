"""Seals and opens a destination's secrets: signing secrets, headers, and a client certificate."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from event_trigger.destinations.client_certificates import ClientCertificate
from event_trigger.models import Destination
from event_trigger.vault import Sealed, Vault

PREVIOUS_SIGNS_FOR = timedelta(hours=24)
MOST_PREVIOUS = 5  # secrets; each adds a signature to every request


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
    client_certificate: ClientCertificate | None = None

    def signing(self, *, now: datetime) -> list[str]:
        """Returns the secrets that sign at an instant, the current one first."""
        return [self.current, *(one.secret for one in self.overlapping(now=now))]

    def renewed(self, secret: str, *, now: datetime) -> "Secrets":
        """Replaces the current secret, which signs for 24 hours as well; drops the oldest ones."""
        retired = RetiredSecret(self.current, now + PREVIOUS_SIGNS_FOR)
        previous = retired, *self.overlapping(now=now)
        return replace(self, current=secret, previous=previous[:MOST_PREVIOUS])

    def overlapping(self, *, now: datetime) -> tuple[RetiredSecret, ...]:
        return tuple(one for one in self.previous if now < one.until)


def seal_into(destination: Destination, secrets: Secrets, vault: Vault) -> None:
    plain: dict[str, Any] = {
        "current": secrets.current,
        "previous": [[one.secret, one.until.isoformat()] for one in secrets.previous],
        "headers": secrets.headers,
    }
    if (own := secrets.client_certificate) is not None:
        plain["client_certificate"] = [own.chain, own.private_key]
    else:
        destination.client_certificate = None
    sealed = vault.seal(json.dumps(plain).encode(), owner_id=destination.owner_id)
    destination.sealed, destination.key_id = sealed.data, sealed.key_id
    destination.header_names = list(secrets.headers)


def open_secrets(
    vault: Vault, *, owner_id: int, key_id: str, sealed: bytes, has_certificate: bool
) -> Secrets:
    """Decrypts secrets; raises SealBroken when `key_id` is not among the settings any more.

    A destination that shows no client certificate has none, even if one is sealed: a downgrade
    below migration 0030 forgets only what is shown.
    """
    plain = json.loads(vault.open(Sealed(key_id, sealed), owner_id=owner_id))
    previous = (
        RetiredSecret(one, datetime.fromisoformat(until)) for one, until in plain["previous"]
    )
    # versions before migration 0030 write none
    certificate = plain.get("client_certificate") if has_certificate else None
    return Secrets(
        plain["current"],
        tuple(previous),
        plain["headers"],
        None if certificate is None else ClientCertificate(owner_id, *certificate),
    )


def secrets_of(destination: Destination, vault: Vault) -> Secrets:
    return open_secrets(
        vault,
        owner_id=destination.owner_id,
        key_id=destination.key_id,
        sealed=destination.sealed,
        has_certificate=destination.client_certificate is not None,
    )
