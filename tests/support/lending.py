"""Lends a running service to one test after another: a start costs more than most tests do.

Between two tests its database is put back as it was, and ids go on (`putting_back.py`); so is what
it holds in memory. A service whose tables a test has altered is not lent again, nor is one in which
a job failed. A test that stops its service, counts what it does, or needs an id of 1 has one of its
own instead.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import asyncpg
from apscheduler.executors.base import run_coroutine_job

from event_trigger.db.pool import shortage_of
from event_trigger.telemetry import JOB_FAILURES
from event_trigger.web.dependencies import state_of
from tests.support.databases import connect, fresh_database
from tests.support.putting_back import put_back, remember_again
from tests.support.services import Service

_MOST_TESTS = 100  # of a service: deleted rows make its tables slow
_JOBS_END_WITHIN = 10.0  # seconds

MakeService = Callable[..., AbstractAsyncContextManager[Service]]


@dataclass
class _Lent:
    """A service that runs, its database, and the number of tests that have had it."""

    service: Service
    database: Any
    stack: AsyncExitStack
    tests: int = 0
    failures: float = 0  # of jobs, before it was lent

    @classmethod
    async def start(
        cls, server_url: str, template: str, make: MakeService, settings: dict[str, Any]
    ) -> Self:
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(fresh_database(server_url, template=template))
            database = await connect(url)
            stack.push_async_callback(database.close)
            service = await stack.enter_async_context(make(url, **settings))
            await remember_again(database)
            return cls(service, database, stack.pop_all(), failures=_failed_jobs())
        raise AssertionError

    async def clean(self) -> bool:
        """Puts the service back as it was after its start; False if that cannot be.

        1. Close what calls it.
        2. Wait for running jobs, which may have taken from its memory what they store.
        3. Drop what it holds in memory, and put its database back.
        """
        self.tests += 1
        for client in self.service.clients:
            await client.aclose()
        self.service.clients.clear()
        if self.tests >= _MOST_TESTS:
            return False
        state = state_of(self.service.app)
        if not await _until_no_job_runs():
            return False
        state.hook_calls.refusals.take()
        try:
            is_back = await put_back(self.database)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return False  # such as a deadlock with a job, or a connection that the test has ended
        state.credentials.forget()
        is_ready = (
            _failed_jobs() == self.failures and shortage_of(state.sessions.kw["bind"]) is None
        )
        return is_back and is_ready


async def _until_no_job_runs() -> bool:
    """Waits for the jobs that run; False if one does not end."""
    while running := [one for one in asyncio.all_tasks() if _is_a_job(one)]:
        _, endless = await asyncio.wait(running, timeout=_JOBS_END_WITHIN)
        if endless:
            return False
    return True


def _is_a_job(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "cr_code", None) is run_coroutine_job.__code__


def _failed_jobs() -> float:
    """Counts the failed runs of jobs in this process."""
    samples = (one for metric in JOB_FAILURES.collect() for one in metric.samples)
    return sum(one.value for one in samples if one.name.endswith("_total"))


class Lending:
    """Keeps the service that was lent last, by the kind that it is of, for the next test."""

    def __init__(self, server_url: str, template: str) -> None:
        """`template` is a database that remembers its rows (`remember_in`)."""
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
