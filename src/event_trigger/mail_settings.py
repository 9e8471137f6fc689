"""Reads the mail server and the sender from their settings, and says in words what is wrong."""

import re
from dataclasses import dataclass, field
from email.utils import parseaddr
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from event_trigger.mail_addresses import AddressRefused, check_address


class Encryption(StrEnum):
    """How a connection to the mail server is encrypted."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


_URL = re.compile(
    r"smtps?://([^@/?#\s]*@)?([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?/?(\?[a-z=]+)?",
    re.ASCII | re.IGNORECASE,
)
_SUBMISSION, _SUBMISSIONS = 587, 465  # ports: RFC 6409, RFC 8314
_STARTTLS = {"starttls=required": Encryption.STARTTLS, "starttls=off": Encryption.NONE}
_LONGEST_NAME = 100  # characters
_WANTED_URL = (
    "write smtp://user:password@mail.example.com:587, which needs STARTTLS, or smtps:// for TLS"
    " from the first byte; percent-encode characters of the password such as @ / : and %"
)
_WANTED_SENDER = "write an address such as events@example.com, or Events <events@example.com>"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The operator's mail server; without a `username` nobody signs in."""

    host: str
    port: int
    encryption: Encryption
    username: str | None
    password: str = field(repr=False)

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.host)


def read_server(url: str) -> SmtpServer:
    """Reads a URL; raises ValueError, in words for the operator and without the password."""
    if not _URL.fullmatch(url):
        raise ValueError(_WANTED_URL)
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_WANTED_URL) from None
    if not host or port == 0:
        raise ValueError(_WANTED_URL)
    is_encrypted = parts.scheme.lower() == "smtps"
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password) or not f"{username}{password}".isprintable():
        raise ValueError("write a user and a password, of characters that can be typed, or none")
    return SmtpServer(
        host=host,
        port=port or (_SUBMISSIONS if is_encrypted else _SUBMISSION),
        encryption=_encryption(parts.query, host, is_encrypted=is_encrypted),
        username=username or None,
        password=password,
    )


def _encryption(query: str, host: str, *, is_encrypted: bool) -> Encryption:
    if is_encrypted and not query:
        return Encryption.TLS
    if is_encrypted or query not in {"", *_STARTTLS}:
        raise ValueError(
            "after the ? only starttls=required or starttls=off may stand, and nothing with smtps"
        )
    return _STARTTLS.get(query) or (Encryption.NONE if _is_loopback(host) else Encryption.STARTTLS)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True, slots=True)
class MailSender:
    """The sender of all mails; `address` is also the one that bounces return to."""

    name: str
    address: str


def read_sender(text: str) -> MailSender:
    """Reads an address with or without a name; raises ValueError in words for the operator."""
    name, address = parseaddr(text)
    if not text.isprintable() or len(name) > _LONGEST_NAME or text.count("@") != 1:
        raise ValueError(_WANTED_SENDER)
    try:
        return MailSender(name, check_address(address))
    except AddressRefused as refused:
        raise ValueError(f"{_WANTED_SENDER}: {refused}") from None
