"""Decides which client certificate a destination has after a change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from event_trigger.destinations.certificate_schemas import ClientCertificateWrite
from event_trigger.destinations.client_certificates import CheckedPair
from event_trigger.destinations.signing_secrets import Secrets
from event_trigger.errors import Invalid, pointer
from event_trigger.web.changes import Change
from event_trigger.web.mask import MASK

_PLACE = ("client_certificate",)
_NONE_STORED = (
    "This keeps a client certificate that is stored, and another one or none is stored for this"
    " origin. Write certificate and private_key."
)
_NOT_ENCRYPTED = "A client certificate is used over https only. Change the url, or leave it out."
_KEY_RESTORED = Change(pointer(*_PLACE, "private_key"), None, MASK)


@dataclass(frozen=True, slots=True)
class CertificateChange:
    """The certificate after a change, as it is shown, and its pair if that is to be stored.

    `changes` are the places that differ besides what is shown.
    """

    shown: dict[str, Any] | None
    pair: CheckedPair | None = None
    changes: Sequence[Change] = ()

    def apply_to(self, secrets: Secrets, *, owner_id: int) -> Secrets:
        if self.pair is not None:
            return replace(secrets, client_certificate=self.pair.of_owner(owner_id))
        return replace(secrets, client_certificate=None) if self.shown is None else secrets


def certificate_after(
    stored: Mapping[str, Any] | None,
    sent: ClientCertificateWrite | None,
    *,
    url: str,
    moves: bool,
    has_pair: Callable[[], bool],
) -> CertificateChange:
    """Compares a certificate that was sent with what is shown of the stored one; raises Invalid.

    A destination that moves to another origin keeps none: its new one has to be sent. `has_pair`
    decrypts, so it is asked only if the rest is the same: a version before migration 0030 drops
    the pair of a certificate that is shown.
    """
    if sent is None:
        return CertificateChange(None)
    if not url.lower().startswith("https:"):
        raise Invalid.at(_PLACE, _NOT_ENCRYPTED)
    is_same = not moves and sent.shown == stored
    if is_same and has_pair():
        return CertificateChange(sent.shown)
    if sent.pair is None:
        raise Invalid.at(_PLACE, _NONE_STORED)
    return CertificateChange(sent.shown, sent.pair, (_KEY_RESTORED,) if is_same else ())


def check_time(change: CertificateChange, *, now: datetime) -> None:
    """Raises Invalid for a new certificate that is not valid now."""
    pair = change.pair
    if pair is None or pair.begins_at <= now < pair.ends_at:
        return
    said = "has ended" if pair.ends_at <= now else "is not valid yet"
    raise Invalid.at(_PLACE, f"The client certificate {said}. Write one that is valid now.")
