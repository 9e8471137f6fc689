"""Verifies calls that are signed with a private key, of which the hook has the public one."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.headers import HeaderValue, check_time
from event_trigger.hooks.signatures.refused import NotSigned, RefusalReason
from event_trigger.triggers.hook_secrets import ecdsa_key, ed25519_key


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A signature over the time and the body, in an encoding, by a kind of key."""

    signature: HeaderValue
    timestamp: HeaderValue
    decode: Callable[[str], bytes]
    is_valid: Callable[[str, bytes, bytes], bool]

    def check(self, secrets: Sequence[str], request: HookRequest, now: datetime, /) -> None:
        """Raises NotSigned unless one of the keys, in the form of their sender, has signed."""
        try:
            signature = self.decode(self.signature.read(request))
        except ValueError:
            raise NotSigned(RefusalReason.MALFORMED_SIGNATURE) from None
        at = self.timestamp.read(request)
        check_time(at, now=now)
        signed = at.encode("latin-1") + request.body
        if not any(self.is_valid(one, signature, signed) for one in secrets):
            raise NotSigned(RefusalReason.WRONG_SIGNATURE)


def is_valid_ed25519(secret: str, signature: bytes, signed: bytes) -> bool:
    try:
        ed25519_key(secret).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def is_valid_ecdsa(secret: str, signature: bytes, signed: bytes) -> bool:
    try:
        ecdsa_key(secret).verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def strict_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
