"""Which addresses may be called: nobody's webhook may become a way into our network."""

import errno
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_URL = 2048
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<authority>(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?)"
    r"(?P<target>([/?][!$%&'()*+,\-./0-9:;=?@a-z_~\[\]]*)?)",
    re.ASCII | re.IGNORECASE,
)
_PARTS = re.compile(r"https?://(?P<authority>[^/?#\\]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_BAD_PERCENT = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE)
_SEPARATOR = re.compile(r"/|%2f|%5c", re.IGNORECASE)  # some servers decode before they split
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII | re.IGNORECASE)
_LONGEST_NAME = 253
# Special-purpose blocks that some version of Python's ipaddress calls global:
# the IANA registries, RFC 7526 (6to4 relays), RFC 6890 (2001::/23), RFC 9637, RFC 9602, RFC 3879
_SPECIAL = ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20", "5f00::/16")
# Azure's wire server, which gives extensions and certificates to any caller inside. The other
# clouds' metadata servers have link-local, shared or unique local addresses.
_WIRE_SERVERS = ("168.63.129.16/32",)
_NEVER = tuple(ip_network(one) for one in (*_SPECIAL, *_WIRE_SERVERS))
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291, section 2.4
_NAT64, _6TO4 = IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})  # RFC 5214, section 6.1: then an IPv4 address


class UrlRefused(ValueError):
    """A URL that cannot be a destination, in words that say what to change."""


class AddressRefused(OSError):
    """An address that may not be called, found out when about to connect to it."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "this address may not be called")


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a URL that say who is called: `host` is a name, or an address."""

    host: str | Address
    port: int
    is_encrypted: bool


def parse_target(url: str) -> Target:
    """Reads a URL that has one meaning only, to every parser; raises UrlRefused for any other."""
    _check_parts(url)
    found = _match(url)
    _check_request_target(found["target"])
    is_encrypted = found["scheme"].lower() == "https"
    port = int(found["port"] or (443 if is_encrypted else 80))
    if not 0 < port < 2**16:
        raise UrlRefused("A port lies between 1 and 65535.")
    return Target(_parse_host(found["host"]), port, is_encrypted)


def is_same_origin(url: str, other: str) -> bool:
    """Whether scheme, host and port are the same; what cannot be read is of no origin."""
    try:
        ours, theirs = parse_target(url), parse_target(other)
    except UrlRefused:
        return False
    return _origin_of(ours) == _origin_of(theirs)


def _origin_of(target: Target) -> tuple[bool, str, int]:
    return target.is_encrypted, str(target.host).lower(), target.port


def split_url(url: str) -> tuple[str, str, str]:
    """Gives scheme, authority and, byte for byte, the request target (RFC 9112, section 3.2).

    Raises UrlRefused, but for no URL that any version of the service has saved.
    """
    found = _match(url)
    target = found["target"]
    return (
        found["scheme"].lower(),
        found["authority"],
        target if target.startswith("/") else f"/{target}",
    )


def _match(url: str) -> re.Match[str]:
    found = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if found is None:
        raise UrlRefused(
            "Write a URL such as https://example.com/hook: http or https, a name in ASCII or an"
            " address, no user, no fragment, no more than 2,048 characters."
        )
    return found


def _check_parts(url: str) -> None:
    """Says what to write in place of what many write; what is left is said by `_match`."""
    if (parts := _PARTS.fullmatch(url)) is None:
        return
    authority, rest = parts["authority"], parts["rest"]
    if "@" in authority:
        raise UrlRefused("Leave out the user and the password; write them as a header instead.")
    if not authority.isascii():
        raise UrlRefused(
            "Write a name with other letters than ASCII's in its encoded form (IDNA), which begins"
            " with xn--."
        )
    if "#" in rest:
        raise UrlRefused("Leave out the fragment, which begins with #, or write # itself as %23.")
    if not rest.isascii() or re.search(r"[\x00-\x20\x7f\"<>\\^`{|}]", rest):
        raise UrlRefused(
            "Percent-encode spaces, control characters, quotes, < > \\ ^ ` { | } and letters other"
            " than ASCII's in the path and the query: %20 for a space, %5C for a backslash, %C3%A9"
            " for an e with an acute accent."
        )


def _check_request_target(target: str) -> None:
    """Refuses what some software on the way would rewrite: it is sent byte for byte."""
    if _BAD_PERCENT.search(target):
        raise UrlRefused(
            "A % comes before two hexadecimal digits, such as %20; write % itself as %25."
        )
    path = target.partition("?")[0]
    segments = (one.lower().replace("%2e", ".") for one in _SEPARATOR.split(path))
    if any(one in (".", "..") for one in segments):
        raise UrlRefused(
            "Leave out the segments . and .. (also %2E and %2E%2E): write the path that is meant,"
            " /b instead of /a/../b."
        )


def _parse_host(host: str) -> str | Address:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):  # what would be an address to some, and a name to others
        raise UrlRefused("Write an address as four decimal numbers, such as 192.0.2.1.")
    if len(host) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise UrlRefused("This is not the name of a host.")
    return host


class Guard:
    """Says which addresses may be called: public ones over TLS, and those that are allowed."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def may_call(self, address: Address, *, is_encrypted: bool) -> bool:
        if any(address in network for network in self._allowed):
            return True
        meant = address
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            meant = address.ipv4_mapped  # the kernel connects to that
            if any(meant in network for network in self._allowed):
                return True
        return is_encrypted and is_public(meant)

    def open_encrypted(self, address_info: tuple[Any, ...]) -> socket.socket:
        """Makes the socket that is about to connect to exactly this address, or refuses to."""
        return self._open(address_info, is_encrypted=True)

    def open_plain(self, address_info: tuple[Any, ...]) -> socket.socket:
        """As `open_encrypted`, for a connection without TLS."""
        return self._open(address_info, is_encrypted=False)

    def _open(self, address_info: tuple[Any, ...], *, is_encrypted: bool) -> socket.socket:
        family, kind, protocol, _, sockaddr = address_info
        if not self.may_call_text(sockaddr[0], is_encrypted=is_encrypted):
            raise AddressRefused
        return socket.socket(family, kind, protocol)

    def may_call_text(self, address: str, *, is_encrypted: bool) -> bool:
        """As `may_call`; what is not an address in figures may not be called."""
        try:
            return self.may_call(ip_address(address), is_encrypted=is_encrypted)
        except ValueError:
            return False


def is_public(address: Address) -> bool:
    """Whether an address is somebody's on the Internet, whichever way it is written."""
    if any(address in network for network in _NEVER):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved
    if address.scope_id is not None:
        return False
    if (embedded := _embedded(address)) is not None:
        return is_public(embedded)
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_UNICAST and address.is_global and not address.is_multicast


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a mapped, NAT64 or 6to4 address leads to."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:  # RFC 6052, section 2.1
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _6TO4:  # RFC 3056, section 2
        return IPv4Address((int(address) >> 80) & 0xFFFF_FFFF)
    return None
