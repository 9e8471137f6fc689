"""Answers of fast paths leave as one piece, and are the bytes that uvicorn would write."""

import asyncio
import gc
import re
from typing import Any
from urllib.parse import urlsplit
from weakref import ref

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from event_trigger.web.http_protocol import HttpProtocol
from tests.support.services import ADA, Service, token_of
from tests.support.streams import listening
from tests.support.triggers import make_api

_VARYING = re.compile(rb"(date|location|event-id|x-request-id): [^\r]+")


class Counted:
    """A transport that notes what is written to it."""

    def __init__(self, transport: Any, written: list[bytes]) -> None:
        self._transport = transport
        self._written = written

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Remembering(HttpProtocol):
    """Remembers requests for as long as anything else refers to them."""

    requests: list[ref[RequestResponseCycle]]

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.requests.append(ref(self.cycle))


class Counting(HttpProtocol):
    written: list[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(Counted(transport, self.written))  # type: ignore[arg-type]


async def ask(url: str, request: bytes, *, answers: int = 1) -> bytes:
    """Sends bytes, and reads so many answers."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    found = b""
    async with asyncio.timeout(30):
        for _ in range(answers):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            found += head + await reader.readexactly(int(length[1]))
    writer.close()
    return found


def post(path: str, *lines: str, version: str = "1.1") -> bytes:
    head = [f"POST {path} HTTP/{version}", "Host: service.test", "Content-Length: 0", *lines]
    return "\r\n".join([*head, f"Authorization: Bearer {token_of(ADA)}", "", ""]).encode()


@pytest.mark.parametrize(
    ("lines", "version"),
    [((), "1.1"), (("Connection: close",), "1.1"), ((), "1.0"), (("X-Api-Key: x",), "1.1")],
)
async def test_an_answer_leaves_as_one_piece_with_the_bytes_of_two(
    service: Service, ada: httpx.AsyncClient, lines: tuple[str, ...], version: str
) -> None:
    path, written = f"/triggers/{(await make_api(ada))['id']}/trigger", list[bytes]()
    kind = type("CountingHere", (Counting,), {"written": written})

    async with listening(service, http=kind) as url:
        answers, pieces = [], []
        for target in (path, f"{path}?&", "/triggers/999/trigger", "/triggers/999/trigger?&"):
            written.clear()
            request = post(target, *lines, version=version)
            answers.append(await ask(url, request))
            pieces.append(len(written))

    assert answers[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert answers[2].startswith(b"HTTP/1.1 404 Not Found\r\n")
    shown = [sorted(_VARYING.sub(rb"\1: -", one).split(b"\r\n")) for one in answers]
    assert shown[::2] == shown[1::2]
    assert pieces == [1, 2, 1, 2]


async def test_answers_of_pipelined_calls_come_in_their_order(
    service: Service, ada: httpx.AsyncClient
) -> None:
    path = f"/triggers/{(await make_api(ada))['id']}/trigger"

    async with listening(service) as url:
        requests = [post(f"/triggers/{one}/trigger") for one in (999, 998)]
        last = post(path, "Connection: close")
        answer = await ask(url, post(path) + b"".join(requests) + last, answers=4)

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"404", b"404", b"200"]


async def test_an_answered_call_leaves_nothing_to_the_garbage_collector(
    service: Service, ada: httpx.AsyncClient
) -> None:
    call = post(f"/triggers/{(await make_api(ada))['id']}/trigger")
    requests = list[ref[RequestResponseCycle]]()
    kind = type("RememberingHere", (Remembering,), {"requests": requests})

    async with listening(service, http=kind) as url:
        gc.disable()
        try:
            await ask(url, call * 5, answers=5)
            left = [one for one in requests if one() is not None]
        finally:
            gc.enable()

    assert len(requests) == 5
    assert len(left) <= 1  # the connection has the last one until it has noticed its end
