"""Runs the application on a database whose clock stands still, and kills its sessions."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

import httpx

from event_trigger.app import create_app
from event_trigger.db.engine import Sessions
from event_trigger.events.retention import make_partitions, sweep
from event_trigger.scheduling.beats import record_beat
from event_trigger.scheduling.commits import Commits
from event_trigger.scheduling.dispatcher import fire_due
from event_trigger.web.dependencies import state_of
from tests.support.clock import create_still_database, set_clock
from tests.support.databases import connect, drop_database
from tests.support.services import ADA, Service, make_settings, quick_passwords

T = TypeVar("T")

KEEP_FOR = timedelta(days=90)
SWEPT_EVERY = timedelta(days=5)  # partitions are made for 15 days ahead
_MANY = 200
_KILL_WAITING = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_locks
    WHERE NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class StillService:
    """Runs no job by itself: a test fires, and sets the clock."""

    def __init__(self, url: str, database: Any) -> None:
        self.database = database
        self._url = url
        self._swept_at: datetime | None = None
        self._start()

    @classmethod
    async def open(cls, server_url: str, *, template: str) -> Self:
        url = await create_still_database(server_url, template=template)
        return cls(url, await connect(url))

    async def close(self) -> None:
        await self._stop()
        await self.database.close()
        await drop_database(self._url)

    async def restart(self) -> None:
        await self._stop()
        self._start()

    def _start(self) -> None:
        made = make_settings(self._url, keep_for=KEEP_FOR)
        self._service = Service(create_app(made, passwords=quick_passwords()), made)
        self._client = self._service.client(ADA)

    async def _stop(self) -> None:
        await self._client.aclose()
        await self.sessions.kw["bind"].dispose()

    @property
    def sessions(self) -> Sessions:
        found: Sessions = state_of(self._service.app).sessions
        return found

    async def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self._client.request(method, path, json=body)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        answer = await self._client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def set_clock(self, instant: datetime) -> None:
        """Sets the database's clock, and makes the partitions for that time."""
        await set_clock(self.database, instant)
        if self._swept_at is None or instant - self._swept_at > SWEPT_EVERY:
            await make_partitions(self.sessions, self._service.settings)
            await sweep(self.sessions, self._service.settings)
            self._swept_at = instant

    async def beat(self) -> None:
        """Notes that the service runs, as its job does every second."""
        await record_beat(self.sessions)

    async def fire_once(self) -> int:
        """Runs the dispatcher once, and gives the number of its committed transactions."""
        committed: list[None] = []
        commits = Commits(self.sessions, lambda: committed.append(None))
        await fire_due(commits)
        await commits.end()
        return len(committed)

    async def fire_all(self, *, replicas: int = 1) -> None:
        await asyncio.gather(*[self.fire_once() for _ in range(replicas - 1)])
        commits = Commits(self.sessions, lambda: None)
        for _ in range(_MANY):
            if await fire_due(commits) > 0:
                await commits.end()
                return
        raise AssertionError("there is always more to fire")

    async def kill_where_locked(
        self, lock: str, work: Coroutine[Any, Any, T]
    ) -> tuple[int, T | BaseException]:
        """Holds a lock, and kills each session that waits for it, until the work ends.

        Gives the number of killed sessions, and the work's result or error.
        """
        killed = 0
        async with self.database.transaction():
            await self.database.execute(f"LOCK TABLE {lock} MODE")
            task = asyncio.create_task(work)
            while not task.done():
                killed += await self.database.fetchval(_KILL_WAITING)
                await asyncio.wait([task], timeout=0.002)
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert killed or not isinstance(result, BaseException), result
        return killed, result
