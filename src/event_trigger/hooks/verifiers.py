"""Verifies the signature of a hook's call, and reads the id that marks its repetitions."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Self, assert_never

from standardwebhooks import Webhook

from event_trigger.errors import FieldError, Invalid, Problem
from event_trigger.models import Verify

_MAX_ID_CHARACTERS = 255
_TOLERANCE = timedelta(minutes=5)
# A header cannot hold the arrow, since its characters are bytes: no Idempotency-Key is the same.
_KEY_PREFIX = "hook\N{RIGHTWARDS ARROW}"


class SignatureRefused(Problem):
    """Answers 401 in the same words for every fault; HTTP requires a challenge with it."""

    status, slug, title = 401, "signature-refused", "The signature is missing or wrong"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Signature"})

    @classmethod
    def example(cls) -> Self:
        return cls(_INSTRUCTIONS[Verify.GITHUB])


_INSTRUCTIONS = {
    Verify.STANDARD_WEBHOOKS: (
        "Sign the call with the hook's secret as Standard Webhooks says (webhook-id,"
        " webhook-timestamp, webhook-signature), and send it within 5 minutes."
    ),
    Verify.GITHUB: (
        "Send X-Hub-Signature-256: 'sha256=' and the HMAC-SHA256 of the body in hexadecimal digits,"
        " under the hook's secret."
    ),
}
_ID_HEADERS = {
    Verify.STANDARD_WEBHOOKS: ("webhook-id",),
    Verify.GITHUB: ("x-github-delivery",),
    Verify.NONE: ("webhook-id", "idempotency-key"),
}


def check_signature(
    verify: Verify, secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> None:
    """Raises SignatureRefused unless exactly these bytes were signed with the secret.

    `headers` have names in lower case; `now` is the database's time, which judges signed times.
    GitHub signs neither time nor id: an eavesdropper can send a call again under another id, until
    the hook is rotated.
    """
    match verify:
        case Verify.STANDARD_WEBHOOKS:
            is_signed = _is_signed_by_standard(secret, headers, body, now=now)
        case Verify.GITHUB:
            is_signed = _is_signed_by_github(secret, headers, body)
        case Verify.NONE:
            return
        case _:
            assert_never(verify)
    if not is_signed:
        raise SignatureRefused(_INSTRUCTIONS[verify])


def idempotency_key(verify: Verify, headers: Mapping[str, str]) -> str | None:
    """Reads the id of a call, so that repetitions are one event; no caller's key is the same.

    Raises Invalid if the id is too long or has a NUL.
    """
    for name in _ID_HEADERS[verify]:
        if (sent := headers.get(name)) is not None:
            if not 1 <= len(sent) <= _MAX_ID_CHARACTERS or "\0" in sent:
                detail = f"Send an id of 1 to {_MAX_ID_CHARACTERS} characters, without U+0000."
                raise Invalid(detail, errors=[FieldError("parameter", name, detail)])
            return _KEY_PREFIX + sent
    return None


def _is_signed_by_standard(
    secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> bool:
    """Does the work of the library's `verify`, which judges the time by this machine's clock."""
    try:
        at = datetime.fromtimestamp(float(headers["webhook-timestamp"]), tz=UTC)
        wanted = Webhook(secret).sign(headers["webhook-id"], at, body.decode())
        sent = headers["webhook-signature"].split(" ")
    except (KeyError, ValueError, OverflowError, OSError):
        return False
    if abs(now - at) > _TOLERANCE:
        return False
    return any(hmac.compare_digest(wanted.encode(), one.encode()) for one in sent)


def _is_signed_by_github(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), headers.get("x-hub-signature-256", "").encode())
