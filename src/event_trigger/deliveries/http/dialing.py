"""Opens connections to receivers, at addresses that the policy allows."""

import asyncio
import socket
import ssl
from functools import partial
from ipaddress import ip_address

from aiohappyeyeballs import AddrInfoType, start_connection

from event_trigger.deliveries.http.connection import Connection
from event_trigger.deliveries.http.exchange import HttpExchange, NameNotResolved
from event_trigger.deliveries.http.request_bytes import Origin
from event_trigger.destinations.address_policy import AddressPolicy, AddressRefused
from event_trigger.destinations.dns import Lookup

_DNS_CACHE_SECONDS = 10.0
_MOST_CACHED_NAMES = 4096
_NEXT_ADDRESS_AFTER = 0.25  # seconds (RFC 8305, section 5)


class Dialer:
    """Resolves names, and connects to the very addresses that the policy has judged."""

    def __init__(self, policy: AddressPolicy, lookup: Lookup) -> None:
        self._policy, self._lookup = policy, lookup
        self._names: dict[Origin, tuple[float, list[str]]] = {}  # and the ends of their validity

    async def open(
        self, origin: Origin, tls: ssl.SSLContext | None, exchange: HttpExchange
    ) -> Connection:
        """Connects to the first address that works, and notes all in the exchange.

        Raises one of EXPECTED_ERRORS: of several failures the first of TLS, which says the most.
        """
        left = [_address_info(one, origin.port) for one in await self._resolve(origin)]
        opened: dict[socket.socket, AddrInfoType] = {}
        failures: list[OSError] = []
        while True:
            try:
                made = await start_connection(
                    left,
                    happy_eyeballs_delay=_NEXT_ADDRESS_AFTER,
                    socket_factory=partial(self._open_socket, origin, exchange, opened),
                )
            except OSError as error:  # of all that are left
                failures.append(error)
                break
            try:
                return await _connect(made, origin, tls)
            except OSError as error:  # of TLS: the next address may have another certificate
                failures.append(error)
                left = [one for one in left if one != opened[made]]
                if not left:
                    break
        raise next((one for one in failures if isinstance(one, ssl.SSLError)), failures[0])

    async def _resolve(self, origin: Origin) -> list[str]:
        if _is_address(origin.host):
            return [origin.host]
        now = asyncio.get_running_loop().time()
        valid_until, found = self._names.get(origin, (now, []))
        if valid_until <= now:
            try:
                found = await self._lookup(origin.host, origin.port)
            except OSError as error:
                raise NameNotResolved from error
            if len(self._names) >= _MOST_CACHED_NAMES:
                self._names.clear()
            self._names[origin] = now + _DNS_CACHE_SECONDS, found
        return found

    def _open_socket(
        self,
        origin: Origin,
        exchange: HttpExchange,
        opened: dict[socket.socket, AddrInfoType],
        address_info: AddrInfoType,
    ) -> socket.socket:
        """Notes the address, or its refusal: another address's error may be raised instead."""
        policy = self._policy
        open_socket = policy.open_encrypted if origin.is_encrypted else policy.open_plain
        try:
            made = open_socket(address_info)
        except AddressRefused:
            exchange.address_was_refused = True
            raise
        exchange.addresses.add(address_info[4][0])
        opened[made] = address_info
        return made


async def _connect(made: socket.socket, origin: Origin, tls: ssl.SSLContext | None) -> Connection:
    loop = asyncio.get_running_loop()
    name = None if tls is None else origin.host.removesuffix(".")
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _, connection = await loop.create_connection(
            Connection, sock=made, ssl=tls, server_hostname=name
        )
    except BaseException:
        made.close()
        raise
    return connection


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _address_info(address: str, port: int) -> AddrInfoType:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
