"""Puts a proxy between the service and its database, which a test can cut and falsify."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url

SOCKET = ".s.PGSQL.5432"
READY = b"Z\x00\x00\x00\x05"  # and a letter: the answer is whole
_FIELDS = b"SFATAL\x00C57P01\x00Mterminating connection due to administrator command\x00\x00"
FATAL = b"E" + (len(_FIELDS) + 4).to_bytes(4) + _FIELDS


class Cable:
    """Forwards a Unix socket to the server's; while it is cut, nothing listens.

    In bytes for the server, each word of `mistaken` is replaced by another of the same length.
    After the answer to a message with `last_word`, the client reads that the server ends the
    session; the connection stays open.
    """

    def __init__(self, server_socket: Path, own_socket: Path) -> None:
        self.mistaken: dict[bytes, bytes] = {}
        self.last_word: bytes | None = None
        self._server_socket = server_socket
        self._own_socket = own_socket
        self._listener: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def plug_in(self) -> None:
        self._listener = await asyncio.start_unix_server(self._forward, self._own_socket)

    async def cut(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._own_socket.unlink(missing_ok=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        assert call is not None
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        server_reader, server_writer = await asyncio.open_unix_connection(self._server_socket)
        ends_after_answer = asyncio.Event()

        def falsify_request(data: bytes) -> bytes:
            if self.last_word is not None and self.last_word in data:
                self.last_word = None
                ends_after_answer.set()
            for word, instead in self.mistaken.items():
                data = data.replace(word, instead)
            return data

        def falsify_answer(data: bytes) -> bytes:
            if ends_after_answer.is_set() and data[-6:-1] == READY:
                ends_after_answer.clear()
                return data + FATAL
            return data

        try:
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(copy(reader, server_writer, falsify_request))
                both_ways.create_task(copy(server_reader, writer, falsify_answer))
        except asyncio.CancelledError:
            pass  # cut
        finally:
            await close(writer)
            await close(server_writer)


async def copy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    change: Callable[[bytes], bytes] = bytes,
) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(change(data))
            await writer.drain()
    await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def cable_to(database_url: str) -> AsyncIterator[tuple[Cable, str]]:
    """Gives a cable that is plugged in, and the database's URL through it."""
    url = make_url(database_url)
    server_socket = (
        Path(str(url.query["host"])) / f".s.PGSQL.{url.query.get('port', url.port or 5432)}"
    )
    with TemporaryDirectory(prefix="cable-") as folder:
        cable = Cable(server_socket, Path(folder) / SOCKET)
        await cable.plug_in()
        through = url.set(port=None).update_query_dict({"host": folder})
        try:
            yield cable, through.render_as_string(hide_password=False)
        finally:
            await cable.cut()
