"""A proxy between a client and a service, which loses requests and answers, and falls silent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.outages import close
from tests.support.waiting import eventually

NEVER, REQUEST, ANSWER, HALF_THE_ANSWER = "never", "request", "answer", "half the answer"


@dataclass
class LosingProxy:
    """Forwards TCP; `loses` says for each request what is lost of it, and ends its connection."""

    host: str
    port: int
    loses: Callable[[], str] = lambda: NEVER
    is_silent: bool = False  # no answer arrives, and no connection ends
    url: str = ""
    requests: list[str] = field(default_factory=list)  # their first lines
    lost: list[str] = field(default_factory=list)
    _calls: set[asyncio.Task[None]] = field(default_factory=set)

    async def cut(self) -> None:
        """Ends all connections; new ones are taken."""
        for call in [*self._calls]:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def until_asked(self, path: str, times: int = 1) -> None:
        """Waits until a path was asked for so often."""

        async def asked() -> int:
            return sum(path in one for one in self.requests)

        await eventually(asked, lambda count: count >= times)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        assert call is not None
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        fate = [NEVER]
        try:
            with suppress(OSError):
                server_reader, server_writer = await asyncio.open_connection(self.host, self.port)
                try:
                    async with asyncio.TaskGroup() as both_ways:
                        requests = self._take_requests(reader, server_writer, fate)
                        answers = self._take_answers(server_reader, writer, fate)
                        both = (_until_broken(requests), _until_broken(answers))
                        tasks = [both_ways.create_task(one) for one in both]
                        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                        for one in tasks:
                            one.cancel()
                finally:
                    await close(server_writer)
        except asyncio.CancelledError:
            pass  # cut
        finally:
            writer.transport.abort()

    async def _is_heard(self) -> bool:
        return not self.is_silent

    async def _take_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: list[str]
    ) -> None:
        while data := await reader.read(65536):
            if data.startswith((b"GET ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ")):
                self.requests.append(data.split(b"\r\n")[0].decode())
                fate[0] = self.loses()
            if fate[0] == REQUEST:
                self.lost.append(REQUEST)
                return
            writer.write(data)
            await writer.drain()

    async def _take_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: list[str]
    ) -> None:
        while data := await reader.read(65536):
            await eventually(self._is_heard, bool)  # TCP may be late, and leaves nothing out
            if fate[0] != NEVER:
                self.lost.append(fate[0])
                writer.write(data[: len(data) // 2] if fate[0] == HALF_THE_ANSWER else b"")
                await writer.drain()
                return
            writer.write(data)
            await writer.drain()


async def _until_broken(one_way: Coroutine[None, None, None]) -> None:
    with suppress(OSError):
        await one_way


@asynccontextmanager
async def losing_proxy(url: str) -> AsyncIterator[LosingProxy]:
    """Gives a proxy to the service at `url`; it loses nothing yet."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = LosingProxy(parts.hostname, parts.port)
    server = await asyncio.start_server(proxy.forward, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.cut()
