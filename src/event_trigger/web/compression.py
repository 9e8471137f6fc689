"""Compresses large answers that hold no secret, off the event loop, and never a stream.

The length of a compressed answer tells about its content (BREACH), so an answer with a secret is
sent as it is: those of all writes, and those that `keep_uncompressed` marks.
"""

import asyncio
import gzip
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trigger.web.request_head import first_header

SMALLEST: Final = 10 * 1024  # bytes
LONGEST_QUEUE: Final = 20  # answers that wait for the thread; further ones are sent as they are
_LEVEL: Final = 1  # 1.3 ms for 1,000 triggers (462 KB to 20); level 6 takes 3.4 ms (to 16)
_COMPRESSIBLE = re.compile(r"text/|application/([a-z.-]+\+)?json|[a-z]+/(javascript|svg\+xml)")
_ACCEPTED = re.compile(r"\s*([^\s;]+)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?", re.ASCII)
_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="compression")  # zlib releases the GIL

T = TypeVar("T")


async def in_thread(compress: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREAD, compress)


def accepts_gzip(headers: Headers) -> bool:
    """Tells whether `Accept-Encoding` takes gzip (RFC 9110, section 12.5.3)."""
    weights: dict[str, float] = {}
    for part in headers.get("accept-encoding", "").lower().split(","):
        if accepted := _ACCEPTED.fullmatch(part):
            weights[accepted[1]] = _weight(accepted[2])
    return weights.get("gzip", weights.get("*", 0)) > 0


def _weight(text: str | None) -> float:
    try:
        return 1 if text is None else float(text)
    except ValueError:
        return 0


def is_compressible(headers: Headers, size: int) -> bool:
    kind = headers.get("content-type", "")
    is_plain = "content-encoding" not in headers
    return size > SMALLEST and is_plain and _COMPRESSIBLE.match(kind) is not None


def keep_uncompressed(request: Request) -> None:
    """Marks the answer to `request` as one that holds a secret."""
    request.state.holds_secret = True


class Compression:
    """Compresses bodies one after another, while few wait."""

    def __init__(self) -> None:
        self._waiting = 0

    async def compress(self, scope: Scope, headers: MutableHeaders, body: bytes) -> bytes:
        """Returns the body, compressed if it should be, and says so in the headers."""
        holds_secret = scope.get("state", {}).get("holds_secret", False)
        if holds_secret or not is_compressible(headers, len(body)):
            return body
        headers.add_vary_header("Accept-Encoding")
        is_asked = first_header(scope, b"accept-encoding") is not None  # which is quick to tell
        if not is_asked or not accepts_gzip(Headers(scope=scope)):
            return body
        if self._waiting >= LONGEST_QUEUE:
            return body
        compressed = await self._in_turn(body)
        headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(compressed))
        return compressed

    async def _in_turn(self, body: bytes) -> bytes:
        self._waiting += 1
        try:
            return await in_thread(lambda: gzip.compress(body, _LEVEL, mtime=0))
        finally:
            self._waiting -= 1


class CompressionMiddleware:
    """Compresses answers to GET that come whole; streams and files come in parts."""

    def __init__(self, app: ASGIApp, *, compression: Compression) -> None:
        self.app = app
        self.compression = compression

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        start: Message | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _has_length(message):
                start = message
                return
            if start is not None:
                head, start = start, None
                if not message.get("more_body", False):
                    headers, body = MutableHeaders(raw=head["headers"]), message.get("body", b"")
                    message["body"] = await self.compression.compress(scope, headers, body)
                await send(head)
            await send(message)

        await self.app(scope, receive, send_compressed)


def _has_length(start: Message) -> bool:
    return any(name == b"content-length" for name, _ in start["headers"])
