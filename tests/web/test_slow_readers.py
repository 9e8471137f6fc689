"""Clients that stall, while they read a response or send a request, are dropped."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from event_trigger.web.http_protocol import HttpProtocol
from tests.support.destinations import fire
from tests.support.problems import problem_of
from tests.support.services import ADA, Service, token_of
from tests.support.streams import listening
from tests.support.triggers import make_api
from tests.support.waiting import eventually

LARGE = "/api/docs/assets/swagger-ui-5.35.0/swagger-ui-bundle.js"
HEAD_OF_CALL = "POST /triggers HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100"
HEAD_OF_HOOK = f"POST /hooks/{'a' * 43} HTTP/1.1\r\nContent-Length: 100"


MUCH = {"text": "x" * 500_000}


class Impatient(HttpProtocol):
    """Waits half a second, on a socket with a small send buffer."""

    stall_seconds = 0.5

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        super().connection_made(transport)


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with listening(service, http=Impatient) as url:
        yield url


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    """A client on a socket with a small receive buffer."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((urlsplit(url).hostname, urlsplit(url).port))
        client.setblocking(False)
        yield client


async def begin(client: socket.socket, head: str, *, rest: str = "") -> None:
    lines = f"{head}\r\nHost: service.test\r\nAuthorization: Bearer {token_of(ADA)}\r\n\r\n{rest}"
    await asyncio.get_running_loop().sock_sendall(client, lines.encode())


async def read_to_the_end(client: socket.socket) -> bytes:
    loop, found = asyncio.get_running_loop(), b""
    async with asyncio.timeout(30):
        try:
            while part := await loop.sock_recv(client, 65536):
                found += part
        except ConnectionResetError:
            pass
    return found


async def until_said(logged: list[EventDict], event: str) -> EventDict:
    async def found() -> list[EventDict]:
        return [line for line in logged if line["event"] == event]

    return (await eventually(found, bool))[0]


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/events?limit=9", ""),
        ("/events?limit=9", "\r\nConnection: close"),
        ("/openapi.json", ""),
        ("/events/export", ""),
        (LARGE, ""),
    ],
)
async def test_a_client_that_reads_nothing_is_dropped(
    ada: httpx.AsyncClient, url: str, path: str, more: str, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = await make_api(ada, payload=MUCH)
    for _ in range(4):
        await fire(ada, trigger)
    with capture_logs() as logged, connected(url) as client:
        await begin(client, f"GET {path} HTTP/1.1{more}")
        dropped = await until_said(logged, "reader_dropped")
        answer = await read_to_the_end(client)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert dropped["path"] == path.partition("?")[0]
    assert head.startswith(b"HTTP/1.1 200")
    assert not body.endswith(b"0\r\n\r\n")  # it is not all
    assert [line["event"] for line in logged].count("reader_dropped") == 1
    assert [line for line in logged if line["log_level"] != "info"] == []
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_a_client_that_reads_slowly_gets_the_whole_response(url: str) -> None:
    with connected(url) as client:
        await begin(client, "GET /openapi.json HTTP/1.1\r\nConnection: close")
        found = b""
        while part := await asyncio.get_running_loop().sock_recv(client, 16384):
            found += part
            await asyncio.sleep(0.1)

    assert found.endswith(b"}")


@pytest.mark.parametrize("head", [HEAD_OF_CALL, HEAD_OF_HOOK])
async def test_a_request_that_stalls_is_a_408(
    url: str, head: str, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logged, connected(url) as client:
        await begin(client, head, rest='{"type"')
        answer = (await read_to_the_end(client)).decode()
        await until_said(logged, "sender_dropped")
        await until_said(logged, "request")

    head, _, body = answer.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    problem = problem_of(httpx.Response(int(status.split()[1]), headers=headers, text=body), 408)
    assert "did not arrive in time" in problem["detail"]
    assert [line for line in logged if line["log_level"] != "info"] == []
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_a_client_that_sends_nothing_or_half_a_head_is_dropped(url: str) -> None:
    with connected(url) as silent, connected(url) as halfway:
        await asyncio.get_running_loop().sock_sendall(halfway, b"GET /healthz HTTP/1.1\r\nHos")

        assert await read_to_the_end(silent) == b""
        assert (await read_to_the_end(halfway)).startswith(b"HTTP/1.1 408")


async def test_a_body_that_comes_slowly_is_waited_for(url: str) -> None:
    body = '{"type":"api","details":{}}'
    with connected(url) as client:
        await begin(client, f"{HEAD_OF_CALL.replace('100', str(len(body)))}\r\nConnection: close")
        for place in range(0, len(body), 4):
            await asyncio.sleep(0.1)
            part = body[place : place + 4].encode()
            await asyncio.get_running_loop().sock_sendall(client, part)
        answer = await read_to_the_end(client)

    assert answer.startswith(b"HTTP/1.1 201")


@pytest.mark.parametrize("head", [HEAD_OF_CALL, HEAD_OF_HOOK])
async def test_a_client_that_disconnects_during_a_request_is_no_error(
    url: str, head: str, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logged:
        with connected(url) as client:
            await begin(client, head, rest='{"type"')
            await asyncio.sleep(0.1)
        await until_said(logged, "request")

    assert [line for line in logged if line["log_level"] != "info"] == []
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_a_client_that_disconnects_during_an_export_is_no_error(
    ada: httpx.AsyncClient, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = await make_api(ada, payload=MUCH)
    for _ in range(8):
        await fire(ada, trigger)
    with capture_logs() as logged:
        for seconds in (0, 0.01, 0.02, 0.05, 0.1):
            with connected(url) as client:
                await begin(client, "GET /events/export HTTP/1.1")
                await asyncio.sleep(seconds)
        await until_said(logged, "request")
        await asyncio.sleep(0.2)

    assert [line for line in logged if line["log_level"] != "info"] == []
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
