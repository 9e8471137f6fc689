"""What only a destination's owner and its receiver know: signing secrets and extra headers."""

import base64
import json
import os
from dataclasses import dataclass, field
from datetime import datetime

from event_trigger.models import Destination
from event_trigger.vault import Sealed, Vault

_SECRET_BYTES = 32  # Standard Webhooks asks for 24 to 64


def new_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(_SECRET_BYTES)).decode()


@dataclass(frozen=True, slots=True)
class Secrets:
    """`previous` is the signing secret before the last rotation, which signs too for a while."""

    current: str
    previous: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def signing(self, *, previous_until: datetime | None, now: datetime) -> list[str]:
        """The secrets to sign with at an instant, the current one first."""
        overlaps = self.previous and previous_until is not None and now < previous_until
        return [self.current, self.previous] if overlaps and self.previous else [self.current]


def seal_into(destination: Destination, secrets: Secrets, vault: Vault) -> None:
    plain = {"current": secrets.current, "previous": secrets.previous, "headers": secrets.headers}
    sealed = vault.seal(json.dumps(plain).encode(), owner_id=destination.owner_id)
    destination.sealed, destination.key_id = sealed.data, sealed.key_id
    destination.header_names = list(secrets.headers)


def open_secrets(vault: Vault, *, owner_id: int, key_id: str, sealed: bytes) -> Secrets:
    """Raises SealBroken when the key it is under is not among the settings any more."""
    return Secrets(**json.loads(vault.open(Sealed(key_id, sealed), owner_id=owner_id)))


def secrets_of(destination: Destination, vault: Vault) -> Secrets:
    return open_secrets(
        vault,
        owner_id=destination.owner_id,
        key_id=destination.key_id,
        sealed=destination.sealed,
    )
