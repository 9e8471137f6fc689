"""Serves answers with a 2xx status line and something malformed around it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.misbehaving import OK, raw_server

END = b"\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n"
MANY_FIELDS = b"".join(b"X-%d: y\r\n" % number for number in range(200))

YES: Mapping[str, bytes] = {
    "a 204 with a body": NO_CONTENT + b"Content-Length: 5\r\n\r\nhello",
    "a 204 with a body of no length": NO_CONTENT + b"\r\nhello",
    "a 204 in chunks": NO_CONTENT + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "a 205 with a body": b"HTTP/1.1 205 Reset\r\nContent-Length: 2\r\n\r\nok",
    "a byte too few": OK + b"Content-Length: 6\r\n\r\nhello",
    "a byte too many": OK + b"Content-Length: 4\r\n\r\nhello",
    "a second answer": OK + b"Content-Length: 0\r\n\r\n" + b"HTTP/1.1 500 No" + END,
    "chunks of no size": OK + CHUNKED + b"hello\r\n0\r\n\r\n",
    "a chunk of a wrong size": OK + CHUNKED + b"2\r\nhello\r\n0\r\n\r\n",
    "no last chunk": OK + CHUNKED + b"5\r\nhello\r\n",
    "chunks and a length": OK + b"Content-Length: 5\r\n" + CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a negative length": OK + b"Content-Length: -1\r\n\r\nhello",
    "a length in words": OK + b"Content-Length: five\r\n\r\nhello",
    "an unknown coding": OK + b"Transfer-Encoding: bogus\r\n\r\nhello",
    "compressed, but not": OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "a field of no name": OK + b": value\r\nContent-Length: 2\r\n\r\nok",
    "a field without a colon": OK + b"no colon here\r\nContent-Length: 2\r\n\r\nok",
    "a NUL in a field": OK + b"X-Nul: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "a space in a name": OK + b"X Space : a\r\nContent-Length: 2\r\n\r\nok",
    "a large field": OK + b"X-Large: " + b"x" * 20_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "many fields": OK + MANY_FIELDS + b"Content-Length: 2\r\n\r\nok",
    "no field and no end": OK,
    "half a field": OK + b"Content-Ty",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nok",
    "HTTP/1.7": b"HTTP/1.7 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no minor version": b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "odd bytes in the reason": b"HTTP/1.1 200 \xff\x01\x7f\r\nContent-Length: 2\r\n\r\nok",
    "a long reason": b"HTTP/1.1 200 " + b"y" * 20_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "line feeds only": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "an empty line before": b"\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
    "a 100 before": b"HTTP/1.1 100 Continue" + END + OK + b"no colon" + END,
    "two 103 before": b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" * 2 + OK + b"no colon" + END,
    "a bad 103 before": b"HTTP/1.1 103 Hints\r\nno colon\r\n\r\n" + NO_CONTENT + b"\r\n",
}


@dataclass
class OddReceiver:
    """Answers each path with the bytes in `answers`, whole or in pieces, and closes."""

    answers: dict[str, bytes] = field(default_factory=dict)
    piece: int = 2**20
    resets: bool = False
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path, _ = await read_request(reader)
        self.asked.append(path)
        answer = self.answers[path]
        for start in range(0, len(answer), self.piece):
            writer.write(answer[start : start + self.piece])
            await writer.drain()
            await asyncio.sleep(0)
        if self.resets:
            await asyncio.sleep(0.05)  # so that what was written has gone out
            plain = writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


@asynccontextmanager
async def odd_receiver(receiver: OddReceiver) -> AsyncIterator[OddReceiver]:
    async with raw_server(receiver.serve) as url:
        receiver.url = url.removesuffix("/hook")
        yield receiver


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Gives the request target, byte for byte, and the body.

    Raises IncompleteReadError when the connection closes before a request.
    """
    head = (await reader.readuntil(END)).decode("ascii")
    [length] = [
        int(line.partition(":")[2])
        for line in head.split("\r\n")
        if line.lower().startswith("content-length:")
    ]
    body = await reader.readexactly(length)
    return head.split(" ", 2)[1], body
