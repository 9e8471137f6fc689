"""Verifies the signature of a hook's call, and reads the id that marks its repetitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from event_trigger.hooks.requests import HookRequest, RepeatedHeader
from event_trigger.hooks.signatures.refused import NotSigned, RefusalReason, SignatureRefused
from event_trigger.hooks.signatures.schemes import (
    CHALLENGES,
    INSTRUCTIONS,
    Scheme,
    SentId,
    scheme_of,
)
from event_trigger.models import Verify

# A header cannot hold the arrow, since its characters are bytes: no Idempotency-Key is the same.
_KEY_PREFIX = "hook\N{RIGHTWARDS ARROW}"


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies the calls of one hook; a `scheme` of None lets all of them through."""

    verify: Verify
    scheme: Scheme | None
    sent_id: SentId

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Reads the stored `details.hook`."""
        verify = Verify(options["verify"])
        scheme = None if verify == Verify.NONE else scheme_of(verify, options)
        return cls(verify, scheme, SentId.of(verify, options))

    def check(self, secrets: Sequence[str], request: HookRequest, now: datetime) -> None:
        """Raises SignatureRefused unless the call was signed with one of the secrets.

        `now` is the database's time, which judges signed times. Some kinds sign neither time nor
        id: an eavesdropper can send their calls again under another id, until the hook is rotated.
        """
        if self.scheme is None:
            return
        if (reason := _fault_of(self.scheme, secrets, request, now)) is not None:
            challenge = CHALLENGES.get(self.verify, "Signature")
            raise SignatureRefused(INSTRUCTIONS[self.verify], reason=reason, challenge=challenge)

    def idempotency_key(self, request: HookRequest) -> str | None:
        """Reads the id of a call, so that repetitions are one event; no caller's key is the same.

        Raises Invalid if a header has an id that is too long or has a NUL.
        """
        found = self.sent_id.read(request)
        return None if found is None else _KEY_PREFIX + found


def _fault_of(
    scheme: Scheme, secrets: Sequence[str], request: HookRequest, now: datetime
) -> RefusalReason | None:
    if not secrets:
        return RefusalReason.NO_SECRET
    try:
        scheme.check(secrets, request, now)
    except NotSigned as fault:
        return fault.reason
    except RepeatedHeader:
        return RefusalReason.REPEATED_HEADER
    return None
