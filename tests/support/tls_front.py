"""Puts TLS in front of the tests' PostgreSQL, as a provider does: it listens on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, make_url

from tests.support.outages import close, copy

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # PostgreSQL's protocol, "SSLRequest"


@dataclass
class TlsFront:
    """Accepts only TLS; keeps the subject of each client certificate, or None."""

    url: URL
    context: ssl.SSLContext
    port: int = 0
    subjects: list[str | None] = field(default_factory=list)

    def at(self, host: str, **query: str) -> str:
        """Returns the database's URL through this front."""
        through = self.url.set(drivername="postgresql", host=host, port=self.port, query=query)
        return through.render_as_string(hide_password=False)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                if await reader.readexactly(len(_SSL_REQUEST)) == _SSL_REQUEST:
                    writer.write(b"S")
                    await writer.start_tls(self.context)
                    await self._forward(reader, writer)
        finally:
            with suppress(OSError):
                await close(writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert")
        self.subjects.append(peer["subject"][0][0][1] if peer else None)
        port = self.url.query.get("port", self.url.port or 5432)
        socket = Path(str(self.url.query["host"])) / f".s.PGSQL.{port}"
        server_reader, server_writer = await asyncio.open_unix_connection(socket)
        await asyncio.gather(copy(reader, server_writer), copy(server_reader, writer))


@asynccontextmanager
async def tls_front(database_url: str, context: ssl.SSLContext) -> AsyncIterator[TlsFront]:
    front = TlsFront(make_url(database_url), context)
    server = await asyncio.start_server(front.forward, "127.0.0.1", 0)
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        server.close()
