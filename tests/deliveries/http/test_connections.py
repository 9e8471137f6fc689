"""Connections are kept for the next request, not for long, and closed where a receiver is odd."""

import asyncio
from functools import partial
from ipaddress import ip_network

import pytest

from event_trigger.deliveries.http.dialing import Dialer
from event_trigger.deliveries.http.exchange import HttpExchange
from event_trigger.deliveries.http.idle_connections import IdleConnections, Route
from event_trigger.deliveries.http.request_bytes import read_target, write_request
from event_trigger.deliveries.http.sender import Sender
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.models import DeliveryError
from tests.support.misbehaving import OK, hang, raw_server
from tests.support.odd_answers import read_request
from tests.support.processes import connections_to
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

LOOPBACK = AddressPolicy([ip_network("127.0.0.0/8")])
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MANY_BYTES = b"y" * 8000


@pytest.mark.parametrize(
    ("begins", "goes_on", "error", "status"),
    [
        (OK, b"X-More: " + MANY_BYTES + b"\r\n", None, 200),
        (CHUNKS + b"0\r\n", b"X-More: " + MANY_BYTES + b"\r\n", None, 200),
        (CHUNKS + b"1;more=", MANY_BYTES, None, 200),
        (b"", b"HTTP/1.1 103 Hints\r\n\r\n", DeliveryError.PROTOCOL_VIOLATED, None),
    ],
    ids=["head", "trailers", "chunk extension", "informational responses"],
)
async def test_what_has_no_end_is_not_read_for_ever(
    begins: bytes, goes_on: bytes, error: DeliveryError | None, status: int | None
) -> None:
    async def never_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(begins)
        while True:
            writer.write(goes_on)
            await writer.drain()

    sender = Sender(LOOPBACK, DnsResolver().lookup)
    async with raw_server(never_end) as url:
        async with asyncio.timeout(10):
            answer = await sender.send(url, {}, b"{}", within=3600)
        port = read_target(url).origin.port
        left = await eventually(partial(connections_to, port), lambda count: count == 0)
    await sender.aclose()

    assert (answer.error, answer.status_code) == (error, status)
    assert left == 0


async def test_a_connection_without_use_is_closed() -> None:
    idle = IdleConnections(kept_seconds=0.05)
    async with raw_server(hang) as url:
        origin = read_target(url).origin
        dialer = Dialer(LOOPBACK, DnsResolver().lookup)
        first, second = [await dialer.open(origin, None, HttpExchange({})) for _ in range(2)]
        route = Route(origin, None)
        idle.keep(route, first)
        taken = idle.take(route)
        idle.keep(route, first)
        idle.keep(route, second)

        await eventually(partial(connections_to, origin.port), lambda count: count == 0)

        assert taken is first
        assert (first.is_open, second.is_open) == (False, False)
        assert idle.take(route) is None


async def test_of_too_many_connections_the_oldest_is_closed() -> None:
    idle = IdleConnections(most=2)
    dialer = Dialer(LOOPBACK, DnsResolver().lookup)
    async with raw_server(hang) as url, raw_server(hang) as other_url:
        origins = [read_target(one).origin for one in (url, other_url, url, other_url)]
        made = [await dialer.open(one, None, HttpExchange({})) for one in origins]
        routes = [Route(one, None) for one in origins]
        for route, connection in zip(routes[:3], made[:3], strict=True):
            idle.keep(route, connection)
        taken = idle.take(routes[2])
        idle.keep(routes[2], made[2])
        idle.keep(routes[3], made[3])
        open_then = [one.is_open for one in made]
        idle.close()

    assert taken is made[2]
    assert open_then == [False, False, True, True]
    assert [one.is_open for one in made] == [False] * 4


async def test_a_connection_that_switches_protocols_gets_no_other_request() -> None:
    asked = list[list[str]]()

    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        of_connection = list[str]()
        asked.append(of_connection)
        while True:
            of_connection.append((await read_request(reader))[0])
            writer.write(SWITCHING)

    sender = Sender(LOOPBACK, DnsResolver().lookup)
    async with raw_server(switch) as url:
        answers = [await sender.send(f"{url}/{n}", {}, b"{}", within=10) for n in range(2)]
    await sender.aclose()

    assert [one.status_code for one in answers] == [101, 101]
    assert asked == [["/hook/0"], ["/hook/1"]]


async def test_each_request_finds_a_connection_of_its_own(receiver: Receiver) -> None:
    sender = Sender(LOOPBACK, DnsResolver().lookup)
    origin = read_target(receiver.url).origin
    for _ in range(3):
        posts = (sender.send(f"{receiver.url}/hook", {}, b"{}", within=10) for _ in range(8))
        answers = await asyncio.gather(*posts)
        assert [one.error for one in answers] == [None] * 8
        assert await connections_to(origin.port) == 8
    await sender.aclose()
    await eventually(partial(connections_to, origin.port), lambda count: count == 0)


@pytest.mark.parametrize("value", ["a\r\nX-More: b", "a\nb", "a\rb", "a\0b"])
def test_a_value_cannot_begin_another_line(value: str) -> None:
    target = read_target("https://example.com/hook")

    with pytest.raises(ValueError, match="line break"):
        write_request("POST", target, {"X-Header": value}, b"{}")


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://example.com", "example.com", "/"),
        ("https://example.com:443/a?b", "example.com", "/a?b"),
        ("http://example.com:443/", "example.com:443", "/"),
        ("http://[2001:db8::1]:80?x", "[2001:db8::1]", "/?x"),
        ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443", "/"),
    ],
)
def test_the_host_leaves_out_the_port_of_its_scheme(url: str, host: str, path: str) -> None:
    written = write_request("POST", read_target(url), {"a": "b"}, b"{}")

    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\na: b\r\nContent-Length: 2\r\n\r\n"
    assert written == head.encode() + b"{}"


@pytest.mark.parametrize(("method", "length"), [("GET", b""), ("DELETE", b"Content-Length: 0\r\n")])
def test_a_request_without_a_body_says_so(method: str, length: bytes) -> None:
    written = write_request(method, read_target("https://example.com/"), {}, b"")

    assert written == f"{method} / HTTP/1.1\r\nHost: example.com\r\n".encode() + length + b"\r\n"
