"""Verifies HMACs over a call: most senders differ only in the names, the text and the encoding."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.headers import HeaderValue, check_time
from event_trigger.hooks.signatures.refused import NotSigned, RefusalReason
from event_trigger.models import MacEncoding
from event_trigger.triggers.hook_secrets import standard_key
from event_trigger.triggers.schemas.hook_details import SignedPart, signed_parts

_BODY_ALONE = "{body}"
# by a name alone, OpenSSL searches for the hash function at each call
_HASHES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}
)


@dataclass(frozen=True, slots=True)
class Mac:
    """An HMAC in one of the headers `signatures`, of which the first that was sent counts.

    Several values in it are alternatives: senders sign with an old and a new secret for a while.
    `key` makes the HMAC's key of a secret.
    """

    signatures: tuple[HeaderValue, ...]
    signs: str = _BODY_ALONE
    algorithm: str = "sha256"
    encoding: MacEncoding = MacEncoding.HEX
    timestamp: HeaderValue | None = None
    id_header: str | None = None
    key: Callable[[str], bytes] = str.encode

    def check(self, secrets: Sequence[str], request: HookRequest, now: datetime, /) -> None:
        """Raises NotSigned.

        1. Reads the headers, and refuses a signed time that is not now.
        2. Compares each signature with that of each secret, in constant time.
        """
        sent = self._signatures_of(request)
        text = self._signed_text(request, now=now)
        function = _HASHES[self.algorithm]
        wanted = [self._encoded(hmac.digest(self.key(one), text, function)) for one in secrets]
        matches = [hmac.compare_digest(one, other) for one in wanted for other in sent]
        if not any(matches):
            raise NotSigned(RefusalReason.WRONG_SIGNATURE)

    def _signatures_of(self, request: HookRequest) -> list[bytes]:
        for one in self.signatures:
            if request.all(one.name):
                found = one.read_all(request)
                if not found:
                    raise NotSigned(RefusalReason.MALFORMED_SIGNATURE)
                return [self._normal(signature) for signature in found]
        raise NotSigned(RefusalReason.MISSING_HEADER)

    def _signed_text(self, request: HookRequest, *, now: datetime) -> bytes:
        if self.signs == _BODY_ALONE:  # most senders': no copy of it is made
            return request.body
        return b"".join(
            one.encode() if not isinstance(one, SignedPart) else self._part(one, request, now=now)
            for one in signed_parts(self.signs)
        )

    def _part(self, part: SignedPart, request: HookRequest, *, now: datetime) -> bytes:
        match part:
            case SignedPart.BODY:
                return request.body
            case SignedPart.METHOD:
                return request.method.encode()
            case SignedPart.URL:
                return request.full_url.encode("latin-1", "replace")
            case SignedPart.ID:
                assert self.id_header is not None
                return HeaderValue(self.id_header).read(request).encode("latin-1")
            case SignedPart.TIMESTAMP:
                assert self.timestamp is not None
                at = self.timestamp.read(request)
                check_time(at, now=now)
                return at.encode("latin-1")

    def _encoded(self, digest: bytes) -> bytes:
        if self.encoding == MacEncoding.HEX:
            return digest.hex().encode()
        return base64.b64encode(digest)

    def _normal(self, signature: str) -> bytes:
        """Hexadecimal digits may be sent in upper case."""
        text = signature.lower() if self.encoding == MacEncoding.HEX else signature
        return text.encode()


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """Standard Webhooks, whose headers also have names of Svix, which began it.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """

    def check(self, secrets: Sequence[str], request: HookRequest, now: datetime, /) -> None:
        """Raises NotSigned; signatures of versions that are not known are skipped."""
        _MACS[_names_in(request)].check(secrets, request, now)


def signed_id_header(request: HookRequest) -> str:
    """Names the header of the id that the signature covers; nobody has signed the other one."""
    return f"{_names_in(request)}-id"


def _names_in(request: HookRequest) -> str:
    return "webhook" if request.all("webhook-signature") else "svix"


def _mac_of(names: str) -> Mac:
    return Mac(
        (HeaderValue(f"{names}-signature", "v1,", " "),),
        signs="{id}.{timestamp}.{body}",
        encoding=MacEncoding.BASE64,
        timestamp=HeaderValue(f"{names}-timestamp"),
        id_header=f"{names}-id",
        key=standard_key,
    )


_MACS = {names: _mac_of(names) for names in ("webhook", "svix")}


def member_of(body: bytes, name: str) -> object:
    """Reads a member of a JSON object; None if there is none, or if the body is something else."""
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value.get(name) if isinstance(value, dict) else None


_LINEAR_MAC = Mac((HeaderValue("linear-signature"),))


class Linear:
    """An HMAC over the body, in which `webhookTimestamp` are milliseconds since 1970.

    https://linear.app/developers/webhooks#securing-webhooks
    """

    def check(self, secrets: Sequence[str], request: HookRequest, now: datetime, /) -> None:
        """Raises NotSigned; reads the body only once its signature is right."""
        _LINEAR_MAC.check(secrets, request, now)
        at = member_of(request.body, "webhookTimestamp")
        if at is not None:
            check_time(str(at), now=now)
