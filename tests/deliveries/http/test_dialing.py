"""Each address is dialled once in an attempt, and the first failure of TLS is the one told."""

import asyncio
import errno
import socket
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from event_trigger.deliveries.http.sender import Sender
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.models import DeliveryError
from tests.support.certificates import Authority, server_context, tls_receiver
from tests.support.names import resolving
from tests.support.odd_answers import OddReceiver, odd_receiver

LOOPBACK = [ip_network("127.0.0.0/8"), ip_network("::1/128")]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class AsIfPublic(AddressPolicy):
    """Takes loopback for the Internet."""

    def may_tell_of(self, address: str) -> bool:
        return address.startswith("127.")


class Nameless(socket.socket):
    """Does not know its peer, as one that the peer has just reset."""

    def getpeername(self) -> Any:
        raise OSError(errno.ENOTCONN, "not connected")


class MakingNameless(AsIfPublic):
    def open_plain(self, address_info: tuple[Any, ...]) -> socket.socket:
        with closing(super().open_plain(address_info)) as made:
            return Nameless(fileno=made.detach())


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("host", "listening_at"),
    [("[0:0:0:0:0:0:0:1]", "::1"), ("[::0001]", "::1"), ("[::FFFF:7F00:1]", "127.0.0.1")],
)
async def test_an_address_is_dialled_once_however_it_is_spelled(
    host: str, listening_at: str
) -> None:
    dialled = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dialled
        dialled += 1
        await reader.read(1)
        writer.write(b"no TLS\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, listening_at, 0)
    with closing(server):
        port = server.sockets[0].getsockname()[1]
        sender = Sender(AddressPolicy(LOOPBACK), DnsResolver().lookup)
        answer = await sender.send(f"https://{host}:{port}/hook", {}, b"{}", within=2)
        await sender.aclose()

    assert answer.error is DeliveryError.TLS_FAILED
    assert dialled == 1


async def test_the_failure_of_tls_is_told_although_the_next_address_refuses(
    tmp_path: Path,
) -> None:
    authority = Authority()
    context = server_context(authority.issue("other.example").save(tmp_path))
    lookup = resolving(("127.0.0.1", "127.0.0.2")).lookup
    async with tls_receiver(context) as receiver:
        sender = Sender(AsIfPublic(LOOPBACK), lookup, ca_file=authority.save(tmp_path))
        url = f"https://hook.example:{receiver.port}/hook"
        answer = await sender.send(url, {}, b"{}", within=10)
        await sender.aclose()

    assert answer.error is DeliveryError.TLS_FAILED
    assert "for other names than the URL's host" in (answer.reason or "")


async def test_a_peer_that_is_not_known_ends_no_attempt() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with odd_receiver(OddReceiver({"/hook": answer})) as receiver:
        sender = Sender(MakingNameless(LOOPBACK), DnsResolver().lookup)
        sending = sender.send(f"{receiver.url}/hook", {}, b"{}", within=10)
        async with asyncio.timeout(10):
            answered = await sending
        await sender.aclose()

    assert (answered.status_code, answered.location) == (302, "/elsewhere")
