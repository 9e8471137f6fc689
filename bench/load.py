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
from math import inf
from typing import NamedTuple, cast
from urllib.parse import urlsplit

FEWEST = 100  # calls of a measurement
_EXPECTED = (b"HTTP/1.1 200", b"HTTP/1.1 201")


class Measured(NamedTuple):
    """Calls a second, the times of a call (ms), and how many calls there were."""

    per_second: float
    p50: float
    p99: float
    calls: int


@dataclass(frozen=True)
class Call:
    """The time at which a call was sent or should have been (`time.time`), and its seconds."""

    due_at: float
    took: float


@dataclass
class _Share:
    """The calls that all callers make together: `left` at most, after `until` only the `fewest`."""

    left: float = inf
    until: float = inf
    fewest: int = 0
    per_second: float | None = None
    calls: list[Call] = field(default_factory=list)
    _began: float = field(default_factory=time.time)
    _taken: int = 0

    def take(self) -> float | None:
        """Returns the time of the next call, or None if none is left."""
        if self.left <= 0 or (self._taken >= self.fewest and time.time() >= self.until):
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
            self._end(AssertionError(self._data[:500].decode(errors="replace")))
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
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
        self._transport.close()


def post(url: str, token: str | None, body: bytes, **more: str) -> bytes:
    """Returns the bytes of a request, with `more` headers."""
    more |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return _request("POST", url, token, more) + body


def get(url: str, token: str, **more: str) -> bytes:
    """Returns the bytes of a request, with `more` headers."""
    return _request("GET", url, token, more)


def _request(method: str, url: str, token: str | None, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    credential = {} if token is None else {"Authorization": f"Bearer {token}"}
    lines = {"Host": parts.netloc, **credential, **headers}
    shown = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{shown}\r\n".encode()


async def load(
    url: str, requests: Sequence[bytes], *, callers: int, seconds: float, fewest: int = FEWEST
) -> Measured:
    """Sends requests, taken from these in turn, for so long; each answer must be 200 or 201.

    It goes on until there are enough (`fewest`) to tell their 99th percentile.
    """
    began = time.perf_counter()
    share = _Share(until=time.time() + seconds, fewest=fewest)
    calls = await _share(url, requests, share, callers)
    took = time.perf_counter() - began
    return Measured(len(calls) / took, quantile(calls, 50), quantile(calls, 99), len(calls))


async def paced(
    url: str, requests: Sequence[bytes], *, per_second: float, count: int, callers: int = 64
) -> list[Call]:
    """Sends requests at a fixed rate, independent of the answers.

    If no caller is free, a call is sent late, and the wait counts.
    """
    return await _share(url, requests, _Share(count, per_second=per_second), callers)


def quantile(calls: Sequence[Call], percent: int) -> float:
    """Returns a percentile of the calls' times (ms)."""
    times = [one.took for one in calls]
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1] * 1000


async def _share(url: str, requests: Sequence[bytes], share: _Share, callers: int) -> list[Call]:
    host, _, port = urlsplit(url).netloc.partition(":")
    loop, in_turn = asyncio.get_running_loop(), cycle(requests)
    made = [
        await loop.create_connection(lambda: _Caller(in_turn, share), host, int(port))
        for _ in range(callers)
    ]
    try:
        await asyncio.gather(*(caller.done for _, caller in made))
    finally:  # a failure or a timeout ends all callers
        for transport, caller in made:
            caller.done.cancel()
            transport.abort()
    return share.calls
