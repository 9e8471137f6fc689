"""Verifies calls of Twilio, which signs the URL and, of a form, its fields in order of names.

https://www.twilio.com/docs/usage/security#validating-requests
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.headers import HeaderValue
from event_trigger.hooks.signatures.refused import NotSigned, RefusalReason

_SIGNATURE = HeaderValue("x-twilio-signature")
_SETTINGS = "x-twilio-webhooks-signature-settings"
_ALGORITHMS = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_FORM = "application/x-www-form-urlencoded"
_BODY_DIGEST = "bodySHA256"
_MOST_FIELDS = 10_000
_PORTS = {"https": 443, "http": 80}


class Twilio:
    """An HMAC over the URL and the fields of a form, or over a URL that has the body's SHA-256."""

    def check(self, secrets: Sequence[str], request: HookRequest, _now: datetime, /) -> None:
        """Raises NotSigned; Twilio signs no time."""
        sent, algorithm = _SIGNATURE.read(request).encode(), _algorithm_of(request)
        fields = _signed_fields(request).encode()
        texts = [url.encode() + fields for url in _urls_of(request)]
        digests = [hmac.digest(one.encode(), text, algorithm) for one in secrets for text in texts]
        matches = [hmac.compare_digest(base64.b64encode(one), sent) for one in digests]
        if not any(matches):
            raise NotSigned(RefusalReason.WRONG_SIGNATURE)


def _algorithm_of(request: HookRequest) -> str:
    """Reads the algorithm that calls with a shared key name; without one it is SHA-1."""
    named = "HMAC_SHA1"
    for part in (request.one(_SETTINGS) or "").split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            named = value.strip().upper()
    if named not in _ALGORITHMS:
        raise NotSigned(RefusalReason.MALFORMED_SIGNATURE)
    return _ALGORITHMS[named]


def _signed_fields(request: HookRequest) -> str:
    """Returns the text of a form's fields; checks the digest that a URL has of another body.

    It counts wherever there is one: without its body, a call is another call.
    """
    digests = [value for name, value in parse_qsl(request.query) if name == _BODY_DIGEST]
    is_form = request.content_type.partition(";")[0].strip().lower() == _FORM
    if (digests or (request.body and not is_form)) and not _is_digest(digests, request.body):
        raise NotSigned(RefusalReason.WRONG_SIGNATURE)
    return "".join(_fields_of(request.body)) if is_form else ""


def _fields_of(body: bytes) -> Iterator[str]:
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise NotSigned(RefusalReason.MALFORMED_SIGNATURE) from None
    for name, value in sorted(set(fields)):
        yield name + value


def _is_digest(digests: list[str], body: bytes) -> bool:
    wanted = hashlib.sha256(body).hexdigest().encode()
    return len(digests) == 1 and hmac.compare_digest(digests[0].lower().encode(), wanted)


def _urls_of(request: HookRequest) -> set[str]:
    """Returns the URL as Twilio may have signed it: with and without its port, and as HTTPS.

    Proxies that end TLS need not say so, and the scheme protects nothing here.
    """
    try:  # the caller chooses the name of the host
        url = urlsplit(request.full_url)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise NotSigned(RefusalReason.WRONG_SIGNATURE) from None
    bare = f"[{host}]" if ":" in host else host
    return {request.full_url} | {
        url._replace(scheme=scheme, netloc=netloc).geturl()
        for scheme, usual_port in _PORTS.items()
        for netloc in (bare, f"{bare}:{port or usual_port}")
    }
