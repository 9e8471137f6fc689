"""Reads a database URL's TLS parameters as libpq's documentation describes them ("SSL Support").

asyncpg itself would look for authorities in one file of a home directory, which containers lack.
"""

import ssl
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, Self

import certifi
from sqlalchemy import event
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine


class TlsMode(StrEnum):
    DISABLE = "disable"
    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


MODE = "ssl"  # asyncpg's name of `sslmode`
FILES = ("sslrootcert", "sslcert", "sslkey")
SYSTEM = "system"  # as sslrootcert: the authorities of the system, and Mozilla's
_UNVERIFIED = frozenset({TlsMode.DISABLE, TlsMode.ALLOW, TlsMode.PREFER})


class TlsParameters(NamedTuple):
    """The mode, and paths of PEM files: trusted authorities, and a client certificate."""

    mode: TlsMode | None
    authorities: str | None
    certificate: str | None
    key: str | None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Reads them from a URL's query, or from arguments for asyncpg.

        Raises ValueError, in words for the operator.
        """
        authorities, certificate, key = (given.get(name) for name in FILES)
        mode = given.get(MODE) or (TlsMode.VERIFY_FULL if authorities == SYSTEM else None)
        if mode is not None and mode not in {*TlsMode}:
            raise ValueError(f"sslmode must be one of {', '.join(TlsMode)}")
        found = cls(None if mode is None else TlsMode(mode), authorities, certificate, key)
        found._check()
        return found

    def _check(self) -> None:
        has_files = any((self.authorities, self.certificate, self.key))
        if has_files and self.mode in {None, *_UNVERIFIED}:
            raise ValueError(
                f"{', '.join(FILES)} need sslmode=verify-full, verify-ca or require beside them"
            )
        if self.authorities == SYSTEM and self.mode is not TlsMode.VERIFY_FULL:
            raise ValueError("sslrootcert=system needs sslmode=verify-full")
        if self.mode is TlsMode.VERIFY_CA and self.authorities is None:
            raise ValueError(  # a public authority signs for anybody
                "sslmode=verify-ca needs sslrootcert, the authority of the server; without one,"
                " write verify-full"
            )
        if self.key and not self.certificate:
            raise ValueError("sslkey needs sslcert, the certificate of that key")

    @property
    def verifies(self) -> bool:
        """Whether the server's certificate is checked; `require` does so if it has authorities."""
        is_required = self.mode is TlsMode.REQUIRE and self.authorities is not None
        return is_required or self.mode in {TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL}


def check(query: Mapping[str, Any]) -> None:
    """Raises ValueError, in words for the operator, for parameters or files that cannot be used."""
    _context_of(TlsParameters.of(query))


def connect_by_tls(engine: AsyncEngine) -> None:
    """Makes the engine's connections by the parameters of its URL."""

    def prepare(_dialect: Dialect, _record: object, _args: object, given: dict[str, Any]) -> None:
        add_context(given)

    event.listen(engine.sync_engine, "do_connect", prepare)


def add_context(arguments: MutableMapping[str, Any]) -> None:
    """Replaces the parameters among arguments for asyncpg by the context that they describe."""
    parameters = TlsParameters.of(arguments)
    for name in FILES:
        arguments.pop(name, None)
    if (context := _context_of(parameters)) is not None:
        arguments[MODE] = context


@lru_cache(maxsize=8)
def _context_of(parameters: TlsParameters) -> ssl.SSLContext | None:
    """Makes a context once, as it takes 80 ms; None if asyncpg's own for the mode will do."""
    if not parameters.verifies and parameters.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = parameters.mode is TlsMode.VERIFY_FULL
    if not parameters.verifies:
        context.verify_mode = ssl.CERT_NONE
    elif parameters.authorities in {None, SYSTEM}:
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
    else:
        with _in_words("sslrootcert must be a file of certificates of authorities in PEM"):
            context.load_verify_locations(parameters.authorities)
    if parameters.certificate is not None:
        with _in_words("sslcert and sslkey must be a certificate and its unencrypted key in PEM"):
            context.load_cert_chain(parameters.certificate, parameters.key, _no_password)
    return context


def _no_password() -> str:
    return ""  # OpenSSL would ask the terminal for one


@contextmanager
def _in_words(wanted: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError:
        raise ValueError(f"{wanted}: this is none") from None
    except OSError as error:
        raise ValueError(f"{wanted}: {error.strerror}") from None
