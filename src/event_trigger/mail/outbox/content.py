"""Encrypts what waits to be mailed: an address, and a text that may have a token."""

import json
from dataclasses import asdict, dataclass, field

from event_trigger.vault import Sealed, Vault

_NO_OWNER = 0  # they are not a project's


@dataclass(frozen=True, slots=True)
class MailContent:
    to: str
    subject: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ResetRequest:
    """The address that somebody typed, in lower case and folded, and where the call came from."""

    email: str
    account: str
    address: str | None


def seal_content(vault: Vault, content: MailContent | ResetRequest) -> Sealed:
    return vault.seal(json.dumps(asdict(content)).encode(), owner_id=_NO_OWNER)


def open_mail(vault: Vault, sealed: Sealed) -> MailContent:
    """Raises SealBroken."""
    return MailContent(**json.loads(vault.open(sealed, owner_id=_NO_OWNER)))


def open_request(vault: Vault, sealed: Sealed) -> ResetRequest:
    """Raises SealBroken."""
    return ResetRequest(**json.loads(vault.open(sealed, owner_id=_NO_OWNER)))
