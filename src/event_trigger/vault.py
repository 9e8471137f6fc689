"""Makes secrets, and keeps them unreadable at rest: AES-256-GCM, under keys from the settings."""

import base64
import hashlib
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from event_trigger.config import Settings
from event_trigger.errors import Unavailable

_SECRET_BYTES = 32  # Standard Webhooks asks for 24 to 64
_NONCE_BYTES = 12  # NIST SP 800-38D, section 8.2.2: random, for far fewer than 2^32 secrets a key
_PURPOSE = b"event-trigger/vault"


def new_secret() -> str:
    """What Standard Webhooks signs with."""
    return "whsec_" + base64.b64encode(os.urandom(_SECRET_BYTES)).decode()


class SealBroken(Unavailable):
    """What was sealed cannot be read: by another key, for another owner, or changed since."""

    slug, title = "secret-unreadable", "A secret cannot be read"


@dataclass(frozen=True, slots=True)
class Sealed:
    """Ciphertext, and the name of the key that it is under."""

    key_id: str
    data: bytes


class Vault:
    """Seals under the first of its keys, and opens what any of them has sealed."""

    def __init__(self, *secrets: str) -> None:
        keys = [_derived(secret) for secret in secrets]
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self.current = _key_id(keys[0])

    @classmethod
    def of(cls, settings: Settings) -> "Vault":
        """A key of its own if one is set, else one made from the signing secret."""
        candidates = (
            settings.encryption_key,
            settings.encryption_previous_key,
            settings.jwt_secret,
            settings.jwt_previous_secret,
        )
        return cls(*(one.get_secret_value() for one in candidates if one is not None))

    def seal(self, plain: bytes, *, owner_id: int) -> Sealed:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self.current].encrypt(nonce, plain, _bound_to(owner_id))
        return Sealed(self.current, nonce + sealed)

    def open(self, sealed: Sealed, *, owner_id: int) -> bytes:
        """Raises SealBroken unless it was sealed for this owner, under a key that is known."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise SealBroken(f"A secret is under the key {sealed.key_id}, which is not set.")
        nonce, data = sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:]
        try:
            return key.decrypt(nonce, data, _bound_to(owner_id))
        except (InvalidTag, ValueError):
            raise SealBroken(f"A secret under the key {sealed.key_id} is not as it was.") from None


def _derived(secret: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())


def _key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def _bound_to(owner_id: int) -> bytes:
    return f"owner {owner_id}".encode()
