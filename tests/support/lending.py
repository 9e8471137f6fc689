"""Lends a running service to one test after another: a start costs more than most tests do.

Between two tests its database is put back as it was, and ids go on (`putting_back.py`). A service
whose tables a test has altered is not lent again. A test that stops its service, counts what it
does, or needs an id of 1 has one of its own instead.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import asyncpg

from event_trigger.web.state import state_of
from tests.support.databases import connect, fresh_database
from tests.support.putting_back import put_back, remember
from tests.support.services import Service

_MOST_TESTS = 100  # of a service: deleted rows make its tables slow

MakeService = Callable[..., AbstractAsyncContextManager[Service]]


@dataclass
class _Lent:
    """A service that runs, its database, and the number of tests that have had it."""

    service: Service
    database: Any
    stack: AsyncExitStack
    tests: int = 0

    @classmethod
    async def start(
        cls, server_url: str, template: str, make: MakeService, settings: dict[str, Any]
    ) -> Self:
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(fresh_database(server_url, template=template))
            database = await connect(url)
            stack.push_async_callback(database.close)
            service = await stack.enter_async_context(make(url, **settings))
            await remember(database)
            return cls(service, database, stack.pop_all())
        raise AssertionError

    async def clean(self) -> bool:
        """Puts the service back as it was after its start; False if that cannot be."""
        self.tests += 1
        for client in self.service.clients:
            await client.aclose()
        self.service.clients.clear()
        if self.tests >= _MOST_TESTS:
            return False
        try:
            is_back = await put_back(self.database)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return False  # such as a deadlock with a job, or a connection that the test has ended
        state_of(self.service.app).credentials.forget()
        return is_back


class Lending:
    """Keeps the service that was lent last, by the kind that it is of, for the next test."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url = server_url
        self._template = template
        self._kept: dict[str, _Lent] = {}

    @asynccontextmanager
    async def lend(self, make: MakeService, settings: dict[str, Any]) -> AsyncIterator[Service]:
        """Gives a service that `make` makes with these settings, running already if it can be."""
        kind = f"{make.__name__} {sorted(settings.items())}"
        lent = self._kept.pop(kind, None)
        await self.close()  # jobs of another kind would only take time
        if lent is None:
            lent = await _Lent.start(self._server_url, self._template, make, settings)
        yield lent.service
        if await lent.clean():
            self._kept[kind] = lent
        else:
            await lent.stack.aclose()

    async def close(self) -> None:
        while self._kept:
            _, lent = self._kept.popitem()
            await lent.stack.aclose()
