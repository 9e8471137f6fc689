"""Verifies calls that carry the secret itself, in a header or as HTTP's basic authentication."""

import base64
import hmac
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.headers import HeaderValue
from event_trigger.hooks.signatures.refused import NotSigned, RefusalReason

AUTHORIZATION = "authorization"


@dataclass(frozen=True, slots=True)
class Token:
    """The secret in a header; behind a `scheme` such as Bearer, in any case, if it has one."""

    header: str = AUTHORIZATION
    scheme: str | None = "bearer"

    def check(self, secrets: Sequence[str], request: HookRequest, _now: datetime, /) -> None:
        """Raises NotSigned; the time is not part of such a call."""
        sent = HeaderValue(self.header).read(request)
        if self.scheme is not None:
            sent = _behind(self.scheme, sent)
        matches = [hmac.compare_digest(one.encode(), sent.encode()) for one in secrets]
        if not any(matches):
            raise NotSigned(RefusalReason.WRONG_CREDENTIALS)


@dataclass(frozen=True, slots=True)
class Basic:
    """A user's name, and the secret as the password (RFC 7617)."""

    username: str

    def check(self, secrets: Sequence[str], request: HookRequest, _now: datetime, /) -> None:
        """Raises NotSigned; the time is not part of such a call."""
        encoded = _behind("basic", HeaderValue(AUTHORIZATION).read(request))
        try:
            sent = base64.b64decode(encoded, validate=True)
        except (Base64Error, ValueError):
            raise NotSigned(RefusalReason.MALFORMED_SIGNATURE) from None
        wanted = [f"{self.username}:{one}".encode() for one in secrets]
        matches = [hmac.compare_digest(one, sent) for one in wanted]
        if not any(matches):
            raise NotSigned(RefusalReason.WRONG_CREDENTIALS)


def _behind(scheme: str, value: str) -> str:
    """Returns the credentials of an `Authorization` header with this scheme."""
    found, _, rest = value.partition(" ")
    if found.lower() != scheme:
        raise NotSigned(RefusalReason.MALFORMED_SIGNATURE)
    return rest.strip(" ")
