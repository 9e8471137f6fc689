"""Load over HTTP/1.1 that costs next to nothing: callers who each wait for their answer.

With a rate, calls have instants at which they should be sent, and what one took is counted from
there: a service that stands still is late for all that should have come meanwhile.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import cast
from urllib.parse import urlsplit

_EXPECTED = b"HTTP/1.1 200"


@dataclass(frozen=True)
class Measured:
    """How many were answered as expected, how fast, and how long one took (ms)."""

    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Call:
    """When it was sent, or should have been (by `time.time`), and the seconds that it took."""

    due_at: float
    took: float


@dataclass
class _Share:
    left: int
    per_second: float | None = None
    calls: list[Call] = field(default_factory=list)
    _began: float = field(default_factory=time.time)
    _taken: int = 0

    def take(self) -> float | None:
        """When the next call should be sent, if there is one left."""
        if self.left <= 0:
            return None
        self.left -= 1
        self._taken += 1
        if self.per_second is None:
            return time.time()
        return self._began + self._taken / self.per_second


class _Caller(asyncio.Protocol):
    """Sends the next request when the last one was answered, for as long as there are any."""

    def __init__(self, requests: Iterator[bytes], share: _Share) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._share = share
        self._data = b""
        self._due_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._data[:end].lower()
        at = head.index(b"content-length:") + len(b"content-length:")
        if len(self._data) < end + 4 + int(head[at:].split(b"\r\n", 1)[0]):
            return
        if not self._data.startswith(_EXPECTED):
            self._end(AssertionError(self._data.decode()))
            return
        self._data = b""
        self._share.calls.append(Call(self._due_at, time.time() - self._due_at))
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server hung up"))

    def _next(self) -> None:
        due_at = self._share.take()
        if due_at is None:
            self._end(None)
            return
        self._due_at = due_at
        wait = due_at - time.time()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._send)
        else:
            self._send()

    def _send(self) -> None:
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
    began = time.perf_counter()
    calls = await _share(url, requests, _Share(count), callers)
    seconds = time.perf_counter() - began
    return Measured(count / seconds, quantile(calls, 50), quantile(calls, 99))


async def paced(
    url: str, requests: list[bytes], *, per_second: float, count: int, callers: int = 64
) -> list[Call]:
    """Sends them at instants that no answer moves, as long as enough callers are free.

    With none free, a call is sent late, and the waiting counts.
    """
    return await _share(url, requests, _Share(count, per_second), callers)


def quantile(calls: Sequence[Call], percent: int) -> float:
    """What so many percent of the calls took at the most (ms)."""
    return statistics.quantiles([one.took for one in calls], n=100)[percent - 1] * 1000


async def _share(url: str, requests: list[bytes], share: _Share, callers: int) -> list[Call]:
    host, _, port = urlsplit(url).netloc.partition(":")
    loop, in_turn = asyncio.get_running_loop(), cycle(requests)
    made = [
        await loop.create_connection(lambda: _Caller(in_turn, share), host, int(port))
        for _ in range(callers)
    ]
    await asyncio.gather(*(caller.done for _, caller in made))
    return share.calls
