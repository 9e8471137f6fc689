"""Checks client certificates for mutual TLS, and loads them into a TLS context."""

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from tempfile import NamedTemporaryFile
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from event_trigger.instants import instant_text

MOST_CERTIFICATES = 8  # of a chain
_RSA_BITS = range(2048, 4096 + 1)  # each handshake signs on the event loop
_LARGEST_EXPONENT = 2**32
_LONGEST_SUBJECT = 300  # characters
_NO_CERTIFICATE = (
    "Write the certificate as PEM, which begins with -----BEGIN CERTIFICATE-----, followed by those"
    f" that lead to its authority: {MOST_CERTIFICATES} at most."
)
_NO_KEY = (
    "Write the private key as PEM, without a password: RSA with 2,048 to 4,096 bits, P-256, P-384,"
    " P-521 or Ed25519."
)
_Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A project's certificate chain, the client's own first, and its private key, as PEM."""

    owner_id: int
    chain: str
    private_key: str = field(repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Raises ssl.SSLError for a pair that OpenSSL does not accept."""
        with _as_file((self.chain + self.private_key).encode()) as path:
            context.load_cert_chain(path, password=lambda: "")  # never asks at a terminal


@dataclass(frozen=True, slots=True)
class CheckedPair:
    """A certificate chain and private key that belong together; `shown` is no secret."""

    chain: str
    private_key: str = field(repr=False)
    shown: dict[str, Any]
    begins_at: datetime
    ends_at: datetime

    def of_owner(self, owner_id: int) -> ClientCertificate:
        return ClientCertificate(owner_id, self.chain, self.private_key)


def check_pair(certificate: str, private_key: str) -> CheckedPair:
    """Checks a pair; raises ValueError, which tells the user how to change it.

    It takes some milliseconds at most, whatever the texts are.
    """
    chain, key = _read_chain(certificate), _read_key(private_key)
    own = chain[0]
    if _public_bytes(own.public_key()) != _public_bytes(key.public_key()):
        raise ValueError("The private key is not that of the first certificate.")
    pair = CheckedPair(
        "".join(one.public_bytes(Encoding.PEM).decode() for one in chain),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        {
            "subject": _subject_of(own),
            "expires_at": instant_text(own.not_valid_after_utc),
            "fingerprints": [one.fingerprint(SHA256()).hex() for one in chain],
        },
        own.not_valid_before_utc,
        own.not_valid_after_utc,
    )
    try:
        pair.of_owner(0).load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except ssl.SSLError as error:
        raise ValueError(f"OpenSSL does not accept this pair: {error.reason}.") from None
    return pair


def _read_chain(text: str) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
        for one in chain:
            _public_bytes(one.public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(_NO_CERTIFICATE) from None
    if len(chain) > MOST_CERTIFICATES:
        raise ValueError(_NO_CERTIFICATE)
    return chain


def _read_key(text: str) -> _Key:
    """Reads a private key without the primality tests of RSA, which take up to half a second."""
    try:
        key = load_pem_private_key(text.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(_NO_KEY) from None
    if isinstance(key, RSAPrivateKey):
        is_right = _signs_quickly(key)
    elif isinstance(key, EllipticCurvePrivateKey):
        is_right = isinstance(key.curve, SECP256R1 | SECP384R1 | SECP521R1)
    else:
        is_right = isinstance(key, Ed25519PrivateKey)
    if not is_right:
        raise ValueError(_NO_KEY)
    return cast(_Key, key)


def _signs_quickly(key: RSAPrivateKey) -> bool:
    """Whether no number of an RSA key is larger than it has to be."""
    if key.key_size not in _RSA_BITS:
        return False
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    return (
        numbers.p * numbers.q == modulus
        and max(numbers.p, numbers.q) < modulus
        and numbers.public_numbers.e < _LARGEST_EXPONENT
        and numbers.d < modulus
        and numbers.dmp1 < numbers.p
        and numbers.dmq1 < numbers.q
        and numbers.iqmp < numbers.p
    )


def _public_bytes(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _subject_of(certificate: x509.Certificate) -> str:
    try:
        text = certificate.subject.rfc4514_string()
    except ValueError:
        text = "?"
    return "".join(one if one.isprintable() else "?" for one in text[:_LONGEST_SUBJECT])


@contextmanager
def _as_file(pem: bytes) -> Iterator[str]:
    """Gives a path that holds these bytes: the ssl module reads certificates from files alone.

    On Linux it is a file in memory; elsewhere only its owner can read it, and it is deleted.
    """
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("client-certificate"), "wb") as file:
            file.write(pem)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with NamedTemporaryFile() as named:
            named.write(pem)
            named.flush()
            yield named.name
