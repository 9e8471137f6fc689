"""Reads secrets of hooks: most are texts, and some are keys in the form that their sender shows."""

import base64
import secrets
from binascii import Error as Base64Error
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from event_trigger.models import Verify
from event_trigger.vault import new_secret

LONGEST_SECRET = 1000
# their senders sign with a private key, and show the public one: nothing can be made here
PUBLIC_KEYS = frozenset({Verify.DISCORD, Verify.SENDGRID})
_IN_A_HEADER = frozenset({Verify.GITLAB, Verify.TOKEN})
_SECRET_BYTES = 32
_ED25519_BYTES = 32
_FOR_STANDARD = "Write whsec_ and base64, as the sender shows it"
_FOR_DISCORD = "Write the application's Public Key: 64 hexadecimal digits"
_FOR_SENDGRID = "Write the Verification Key of the Event Webhook: base64 of an elliptic-curve key"


def make_secret(verify: Verify) -> str | None:
    """Makes a secret; None for kinds that have none, or whose sender has a key pair."""
    if verify == Verify.NONE or verify in PUBLIC_KEYS:
        return None
    if verify == Verify.STANDARD_WEBHOOKS:
        return new_secret()
    return secrets.token_hex(_SECRET_BYTES)  # the others sign with the text as it is


def check_secret(verify: Verify, secret: str) -> None:
    """Raises ValueError, with words for the user, unless a given secret has the form of its kind.

    Most are any text: their senders sign with its UTF-8 bytes.
    """
    if verify == Verify.NONE:
        raise ValueError("A hook that verifies nothing has no secret; leave it out")
    if secret != secret.strip():
        raise ValueError("It begins or ends with a blank; write it without")
    if not secret.isprintable() or (verify in _IN_A_HEADER and not secret.isascii()):
        raise ValueError("Write characters that can be seen and sent in a header")
    match verify:
        case Verify.STANDARD_WEBHOOKS:
            standard_key(secret)
        case Verify.DISCORD:
            ed25519_key(secret)
        case Verify.SENDGRID:
            ecdsa_key(secret)


def standard_key(secret: str) -> bytes:
    """Decodes a secret of Standard Webhooks, with or without its prefix and its padding."""
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (Base64Error, ValueError):
        raise ValueError(_FOR_STANDARD) from None
    if not key:
        raise ValueError(_FOR_STANDARD)
    return key


@lru_cache(maxsize=256)
def ed25519_key(secret: str) -> Ed25519PublicKey:
    try:
        key = bytes.fromhex(secret)
    except ValueError:
        raise ValueError(_FOR_DISCORD) from None
    if len(key) != _ED25519_BYTES:
        raise ValueError(_FOR_DISCORD)
    return Ed25519PublicKey.from_public_bytes(key)


@lru_cache(maxsize=256)
def ecdsa_key(secret: str) -> EllipticCurvePublicKey:
    try:
        key = load_der_public_key(base64.b64decode(secret, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(_FOR_SENDGRID) from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError(_FOR_SENDGRID)
    return key
