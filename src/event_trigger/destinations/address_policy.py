"""Decides which addresses may be called, so that no webhook reaches into our network (SSRF)."""

import errno
import socket
from collections.abc import Sequence
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

# Special-purpose blocks that some versions of Python's ipaddress call global:
# the IANA registries, RFC 7526 (6to4 relays), RFC 6890 (2001::/23), RFC 9637, RFC 9602, RFC 3879
_SPECIAL = ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20", "5f00::/16")
# Azure's wire server gives extensions and certificates to any caller inside. The metadata servers
# of other clouds have link-local, shared or unique local addresses.
_WIRE_SERVERS = ("168.63.129.16/32",)
_NEVER_PUBLIC = tuple(ip_network(one) for one in (*_SPECIAL, *_WIRE_SERVERS))
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291, section 2.4
_NAT64, _6TO4 = IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})  # RFC 5214, section 6.1: then an IPv4 address


class AddressRefused(OSError):
    """An address that may not be called, found just before the connection."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "this address may not be called")


class AddressPolicy:
    """Allows calls to public addresses over TLS, and any calls to `allowed` networks."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def may_call(self, address: Address, *, is_encrypted: bool) -> bool:
        if any(address in network for network in self._allowed):
            return True
        effective = address
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            effective = address.ipv4_mapped  # the kernel connects to that
            if any(effective in network for network in self._allowed):
                return True
        return is_encrypted and is_public(effective)

    def open_encrypted(self, address_info: tuple[Any, ...]) -> socket.socket:
        """Makes the socket for a connection to exactly this address; raises AddressRefused."""
        return self._open(address_info, is_encrypted=True)

    def open_plain(self, address_info: tuple[Any, ...]) -> socket.socket:
        """Does the same as `open_encrypted` for a connection without TLS."""
        return self._open(address_info, is_encrypted=False)

    def _open(self, address_info: tuple[Any, ...], *, is_encrypted: bool) -> socket.socket:
        family, kind, protocol, _, sockaddr = address_info
        if not self.may_call_text(sockaddr[0], is_encrypted=is_encrypted):
            raise AddressRefused
        return socket.socket(family, kind, protocol)

    def may_call_text(self, address: str, *, is_encrypted: bool) -> bool:
        """Does the same as `may_call` for text; refuses text that is not a numeric address."""
        try:
            return self.may_call(ip_address(address), is_encrypted=is_encrypted)
        except ValueError:
            return False

    def may_tell_of(self, address: str) -> bool:
        """Whether a user may learn details about a numeric address: of public ones only."""
        return is_public(ip_address(address))


def is_public(address: Address) -> bool:
    """Whether an address is public on the Internet, also when embedded in another address."""
    if any(address in network for network in _NEVER_PUBLIC):
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
    """Returns the IPv4 address that a mapped, NAT64 or 6to4 address leads to."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:  # RFC 6052, section 2.1
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _6TO4:  # RFC 3056, section 2
        return IPv4Address((int(address) >> 80) & 0xFFFF_FFFF)
    return None
