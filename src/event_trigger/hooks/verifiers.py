"""Whether a hook's call comes from whom it says, and which call it is: from its headers alone."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import assert_never

from standardwebhooks import Webhook

from event_trigger.errors import FieldError, Invalid, Problem
from event_trigger.models import Verify

_LONGEST_ID = 255
_TOLERANCE = timedelta(minutes=5)
# no header can hold it: a header's characters are bytes, so no caller's Idempotency-Key is alike
_APART = "hook\N{RIGHTWARDS ARROW}"


class SignatureRefused(Problem):
    """Answers 401 in the same words whatever was wrong; HTTP asks for a challenge with it."""

    status, slug, title = 401, "signature-refused", "The signature is missing or wrong"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Signature"})


_ASKED_FOR = {
    Verify.STANDARD_WEBHOOKS: (
        "Sign the call with the hook's secret as Standard Webhooks says (webhook-id,"
        " webhook-timestamp, webhook-signature), and send it within 5 minutes."
    ),
    Verify.GITHUB: (
        "Send X-Hub-Signature-256: 'sha256=' and the HMAC-SHA256 of the body in hexadecimal digits,"
        " under the hook's secret."
    ),
}
_NAMED_BY = {
    Verify.STANDARD_WEBHOOKS: ("webhook-id",),
    Verify.GITHUB: ("x-github-delivery",),
    Verify.NONE: ("webhook-id", "idempotency-key"),
}


def check_signature(
    verify: Verify, secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> None:
    """Raises SignatureRefused unless these very bytes were signed with the secret.

    GitHub signs no time and no id: whoever has caught such a call can send it again as another
    delivery, until the hook is rotated. `headers` have names in lower case; `now` is the
    database's, by which signed times are judged.
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
        raise SignatureRefused(_ASKED_FOR[verify])


def idempotency_key(verify: Verify, headers: Mapping[str, str]) -> str | None:
    """Names a call, so that its repetition is the same event, apart from all callers' own keys."""
    for name in _NAMED_BY[verify]:
        if (sent := headers.get(name)) is not None:
            if not 1 <= len(sent) <= _LONGEST_ID or "\0" in sent:
                detail = f"An id has 1 to {_LONGEST_ID} characters, and no U+0000 among them."
                raise Invalid(detail, errors=[FieldError("parameter", name, detail)])
            return _APART + sent
    return None


def _is_signed_by_standard(
    secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> bool:
    """As the library's `verify`, which would judge the time by this machine's clock."""
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
