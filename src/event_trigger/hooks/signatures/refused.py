"""Refuses calls that are not signed well: one problem for senders, a reason for the owner."""

from enum import StrEnum
from typing import Self

from event_trigger.errors import Problem


class RefusalReason(StrEnum):
    """The fault of a refused call, for the trigger's owner; its sender is not told."""

    MISSING_HEADER = "missing_header"
    REPEATED_HEADER = "repeated_header"
    MALFORMED_SIGNATURE = "malformed_signature"
    MALFORMED_TIMESTAMP = "malformed_timestamp"
    TIMESTAMP_TOO_FAR = "timestamp_too_far"
    WRONG_SIGNATURE = "wrong_signature"
    WRONG_CREDENTIALS = "wrong_credentials"
    NO_SECRET = "no_secret"  # noqa: S105 - a word, not a secret


class NotSigned(Exception):
    """Raised by a scheme for a call that is not signed as it should be."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(reason)
        self.reason = reason


class SignatureRefused(Problem):
    """Answers 401 in the same words for every fault; HTTP requires a challenge with it.

    `reason` is not part of the answer.
    """

    status, slug, title = 401, "signature-refused", "The signature is missing or wrong"

    def __init__(
        self,
        detail: str | None = None,
        *,
        reason: RefusalReason = RefusalReason.WRONG_SIGNATURE,
        challenge: str = "Signature",
    ) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": challenge})
        self.reason = reason

    @classmethod
    def example(cls) -> Self:
        return cls(
            "Send X-Hub-Signature-256: 'sha256=' and the HMAC-SHA256 of the body in hexadecimal"
            " digits, under the hook's secret."
        )
