"""A cable between the service and its database that a test can cut, mend, and mistake words on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url

SOCKET = ".s.PGSQL.5432"


class Cable:
    """Forwards a Unix socket to the server's; while it is cut, nobody listens.

    What the server is told has each word of `mistaken` replaced by another of the same length.
    """

    def __init__(self, server_socket: Path, own_socket: Path) -> None:
        self.mistaken: dict[bytes, bytes] = {}
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
        try:
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(_copy(reader, server_writer, self.mistaken))
                both_ways.create_task(_copy(server_reader, writer, {}))
        except asyncio.CancelledError:
            pass  # cut
        finally:
            await _close(writer)
            await _close(server_writer)


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mistaken: dict[bytes, bytes]
) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            for word, instead in mistaken.items():
                data = data.replace(word, instead)
            writer.write(data)
            await writer.drain()
    await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def cable_to(database_url: str) -> AsyncIterator[tuple[Cable, str]]:
    """A cable that is plugged in, and the database's URL through it."""
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
