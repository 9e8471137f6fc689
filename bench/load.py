"""Load over HTTP/1.1 that costs next to nothing: callers who each wait for their answer."""

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import cast
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Measured:
    """How many were answered as expected, how fast, and how long one took (ms)."""

    per_second: float
    p50: float
    p99: float


@dataclass
class _Share:
    left: int
    expected: bytes
    took: list[float] = field(default_factory=list)


class _Caller(asyncio.Protocol):
    """Sends the next request when the last one was answered, for as long as there are any."""

    def __init__(self, requests: list[bytes], share: _Share) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = cycle(requests)
        self._share = share
        self._data = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._data[:end].lower()
        at = head.index(b"content-length:") + len(b"content-length:")
        if len(self._data) < end + 4 + int(head[at:].split(b"\r\n", 1)[0]):
            return
        if not self._data.startswith(self._share.expected):
            self._end(AssertionError(self._data.decode()))
            return
        self._data = b""
        self._share.took.append(time.perf_counter() - self._sent_at)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server hung up"))

    def _send(self) -> None:
        if self._share.left <= 0:
            self._end(None)
            return
        self._share.left -= 1
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def _end(self, error: Exception | None) -> None:
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
        self._transport.close()


def post(url: str, token: str, body: bytes) -> bytes:
    """The bytes of a request."""
    parts = urlsplit(url)
    return (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(url: str, token: str) -> bytes:
    """The bytes of a request."""
    parts = urlsplit(url)
    return (
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


async def load(url: str, requests: list[bytes], *, callers: int, count: int) -> Measured:
    """Sends so many of these requests in turn; each must be answered with a 200."""
    host, _, port = urlsplit(url).netloc.partition(":")
    loop, share = asyncio.get_running_loop(), _Share(count, b"HTTP/1.1 200")
    began = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Caller(requests, share), host, int(port))
        for _ in range(callers)
    ]
    await asyncio.gather(*(caller.done for _, caller in made))
    seconds = time.perf_counter() - began
    cuts = statistics.quantiles(share.took, n=100)
    return Measured(count / seconds, cuts[49] * 1000, cuts[98] * 1000)
