"""Request and response models of a destination's client certificate."""

from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from event_trigger.destinations.client_certificates import CheckedPair, check_pair
from event_trigger.instants import instant_text
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
