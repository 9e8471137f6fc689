"""Serves on a real port, since a stream has no end, and reads server-sent events."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

from event_trigger.web.http_protocol import HttpProtocol
from tests.support.services import ADA, PLAIN_HTTP, Service, token_of


class _Server(uvicorn.Server):
    """Leaves signals alone.

    Afterwards, uvicorn would put back the handler of the task in which it was started. asyncio
    describes such a handler, its task and the result of that at each step of a test: 0.3 s for a
    world of tests/security.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(
    service: Service, *, http: type[HttpProtocol] = HttpProtocol
) -> AsyncIterator[str]:
    """Serves, and gives the URL; the service can serve again, so its streams are not ended."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:  # or each answer waits for an ACK
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(
            service.app,
            http=http,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=10,  # seconds, for a stream that nobody has closed
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@dataclass
class Stream:
    """The ids and events that have arrived so far, in order, and messages of other topics."""

    response: httpx.Response
    ids: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    others: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    lines: AsyncIterator[str] | None = None
    _fields: dict[str, str] = field(default_factory=dict)

    async def read(self, count: int, *, within: float = 30.0) -> list[dict[str, Any]]:
        """Reads until `count` events have arrived; `within` seconds only bound a hang."""
        async with asyncio.timeout(within):
            while len(self.events) < count:
                self._take(await anext(self._lines()))
        return self.events

    async def read_others(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Reads until `count` messages of a kind have arrived."""
        async with asyncio.timeout(30):
            while sum(one == kind for one, _ in self.others) < count:
                self._take(await anext(self._lines()))
        return [message for one, message in self.others if one == kind]

    async def read_until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Reads until a message of a kind has these values; several changes may be told at once."""
        for count in range(1, 100):
            message = (await self.read_others(kind, count))[count - 1]
            if fields.items() <= message.items():
                return message
        raise AssertionError(self.others)

    async def read_to_the_end(self) -> None:
        async with asyncio.timeout(30):
            async for line in self._lines():
                self._take(line)

    def _lines(self) -> AsyncIterator[str]:
        self.lines = self.lines or self.response.aiter_lines()
        return self.lines

    def _take(self, line: str) -> None:
        name, _, value = line.partition(": ")
        self._fields[name] = value
        if not line and "data" in self._fields:
            message = json.loads(self._fields["data"])
            if kind := self._fields.get("event"):
                self.others.append((kind, message))
            else:
                self.ids.append(int(self._fields["id"]))
                self.events.append(message)
            self._fields.clear()


@asynccontextmanager
async def following(
    url: str,
    user_id: int,
    *,
    after: int | None = None,
    project: int | str | None = None,
    **filters: Any,
) -> AsyncIterator[Stream]:
    """Opens a stream, and yields it when it has begun: later events must arrive."""
    headers = {"Authorization": f"Bearer {token_of(user_id)}"}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    if project is not None:
        headers["X-Project-ID"] = str(project)
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30, verify=PLAIN_HTTP) as client,
        client.stream("GET", "/events/stream", params=filters) as response,
    ):
        assert response.status_code == 200, await response.aread()
        stream = Stream(response)
        assert await anext(stream._lines()) == ": following"
        yield stream


@asynccontextmanager
async def begun_export(
    service: Service, user_id: int = ADA, *, project: int = ADA
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Begins an export of a project, reads its first piece, and gives the rest."""
    headers = {"Authorization": f"Bearer {token_of(user_id)}", "X-Project-ID": str(project)}
    async with (
        listening(service) as url,
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30, verify=PLAIN_HTTP) as client,
        client.stream("GET", "/events/export") as response,
    ):
        assert response.status_code == 200, await response.aread()
        rest = response.aiter_raw()
        assert (await anext(rest)).startswith(b'{"id":')
        yield rest
