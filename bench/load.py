"""Generates HTTP/1.1 load at very low cost: each caller waits for its answer before the next call.

With a rate, each call has an instant at which it should be sent, and its time is counted from
there. So a service that stalls is late for every call that was due during the stall.
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
    """Calls a second, and the times of a call (ms)."""

    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Call:
    """The time at which a call was sent or should have been (`time.time`), and its seconds."""

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
        """Returns the time of the next call, or None if none is left."""
        if self.left <= 0:
            return None
        self.left -= 1
        self._taken += 1
        if self.per_second is None:
            return time.time()
        return self._began + self._taken / self.per_second


class _Caller(asyncio.Protocol):
    """Sends one request after another, each when the last one was answered."""

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
    """Returns the bytes of a request."""
    parts = urlsplit(url)
    return (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(url: str, token: str) -> bytes:
    """Returns the bytes of a request."""
    parts = urlsplit(url)
    return (
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


async def load(url: str, requests: list[bytes], *, callers: int, count: int) -> Measured:
    """Sends `count` requests, taken from these in turn; each answer must be a 200."""
    began = time.perf_counter()
    calls = await _share(url, requests, _Share(count), callers)
    seconds = time.perf_counter() - began
    return Measured(count / seconds, quantile(calls, 50), quantile(calls, 99))


async def paced(
    url: str, requests: list[bytes], *, per_second: float, count: int, callers: int = 64
) -> list[Call]:
    """Sends requests at a fixed rate, independent of the answers.

    If no caller is free, a call is sent late, and the wait counts.
    """
    return await _share(url, requests, _Share(count, per_second), callers)


def quantile(calls: Sequence[Call], percent: int) -> float:
    """Returns a percentile of the calls' times (ms)."""
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
