"""Encrypts secrets at rest with AES-256-GCM, under keys from the settings."""

import base64
import hashlib
import hmac
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
_FINGERPRINTS = b"event-trigger/fingerprints"


def new_secret() -> str:
    """Makes a signing secret for Standard Webhooks."""
    return "whsec_" + base64.b64encode(os.urandom(_SECRET_BYTES)).decode()


class SealBroken(Unavailable):
    """A secret cannot be decrypted: its key is not set, its owner is another, or it was changed."""

    slug, title = "secret-unreadable", "A secret cannot be read"


@dataclass(frozen=True, slots=True)
class Sealed:
    """Ciphertext, and the id of its key."""

    key_id: str
    data: bytes


class Vault:
    """Encrypts with the first of its keys, and decrypts with any of them."""

    def __init__(self, *secrets: str) -> None:
        keys = [_derived(secret) for secret in secrets]
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self._fingerprint_keys = [_derived(secret, _FINGERPRINTS) for secret in secrets]
        self.current = _key_id(keys[0])

    @classmethod
    def of(cls, settings: Settings) -> "Vault":
        """Uses the encryption keys, and then keys that are derived from the signing secrets."""
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
        """Decrypts a secret; raises SealBroken if the key is unknown or the owner differs."""
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise SealBroken(
                f"A secret is encrypted with the key {sealed.key_id}, which is not set."
            )
        nonce, data = sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:]
        try:
            return key.decrypt(nonce, data, _bound_to(owner_id))
        except (InvalidTag, ValueError):
            raise SealBroken(
                f"A secret with the key {sealed.key_id} was changed after encryption."
            ) from None

    def fingerprints(self, content: bytes) -> list[bytes]:
        """Returns the HMAC-SHA256 of content under each key, the current one's first.

        Unlike a plain hash, it does not tell whether a guessed content is right.
        """
        return [hmac.digest(key, content, "sha256") for key in self._fingerprint_keys]


def _derived(secret: str, purpose: bytes = _PURPOSE) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=purpose).derive(secret.encode())


def _key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def _bound_to(owner_id: int) -> bytes:
    return f"owner {owner_id}".encode()
