"""Models of a destination's client certificate, and which one it has after a change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from event_trigger.destinations.client_certificates import CheckedPair, check_pair
from event_trigger.destinations.signing_secrets import Secrets
from event_trigger.errors import Invalid, pointer
from event_trigger.instants import instant_text
from event_trigger.web.changes import Change
from event_trigger.web.mask import MASK
from event_trigger.web.schemas import Instant, RequestModel, ResponseModel, Text

LONGEST_CHAIN, LONGEST_KEY = 32 * 1024, 16 * 1024  # characters
_BOTH = (
    "Write certificate and private_key, both as PEM, or send back what is shown to keep the stored"
    " ones."
)
Subject = Annotated[Text, Field(examples=["CN=events.example.com"])]
Fingerprints = Annotated[
    list[Text], Field(description="SHA-256 of each certificate, the client's own first.")
]
_PLACE = ("client_certificate",)
_NONE_STORED = (
    "This keeps a client certificate that is stored, and another one or none is stored for this"
    " origin. Write certificate and private_key."
)
_NOT_ENCRYPTED = "A client certificate is used over https only. Change the url, or leave it out."
_KEY_RESTORED = Change(pointer(*_PLACE, "private_key"), None, MASK)


class ClientCertificateRead(ResponseModel):
    """The part of a client certificate that is no secret."""

    subject: Subject
    expires_at: Instant
    fingerprints: Fingerprints


class ClientCertificateWrite(RequestModel):
    """A certificate and its private key, or what a GET shows of the stored ones to keep them."""

    certificate: Annotated[
        Text | None,
        Field(
            max_length=LONGEST_CHAIN,
            description="PEM: the client's own certificate, then those that lead to its authority."
            " Write-only.",
        ),
    ] = None
    private_key: Annotated[
        Text | None,
        Field(max_length=LONGEST_KEY, repr=False, description="PEM, not encrypted. Write-only."),
    ] = None
    subject: Subject | None = None
    expires_at: Instant | None = None
    fingerprints: Fingerprints | None = None
    _pair: CheckedPair | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.certificate, self.private_key
        if self.certificate is not None and self.private_key is not None:
            self._pair = check_pair(self.certificate, self.private_key)
        elif given != (None, None) or None in (self.subject, self.expires_at, self.fingerprints):
            raise ValueError(_BOTH)
        return self

    @property
    def pair(self) -> CheckedPair | None:
        """The pair, or None if the stored one is to be kept."""
        return self._pair

    @property
    def shown(self) -> dict[str, Any]:
        """The part that is shown of this certificate."""
        if self._pair is not None:
            return self._pair.shown
        assert self.expires_at is not None
        expires_at = instant_text(self.expires_at)
        return {
            "subject": self.subject,
            "expires_at": expires_at,
            "fingerprints": self.fingerprints,
        }


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
