"""A site to break: one PostgreSQL that can be killed, and replicas of the service, all our own."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from event_trigger.db.embedded.server import running_postgres
from tests.support.databases import connect, create_database
from tests.support.processes import (
    SERVE,
    Served,
    environment,
    open_folder,
    run,
    start,
    until_ready,
    with_database,
)
from tests.support.services import ADA, fill_with_people_and_partitions, token_of


class Postgres:
    """A server that keeps what it committed, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self.url = ""

    def start(self) -> None:
        self.url = self._running.enter_context(running_postgres(self._folder / "postgres"))

    def stop(self) -> None:
        self._running.close()

    def kill(self) -> None:
        """`kill -9` of the postmaster; what it forked ends by itself."""
        [postmaster] = [one for one in psutil.Process().children() if one.name() == "postgres"]
        postmaster.kill()
        self._running.close()


@dataclass
class Site:
    """Replicas by number; one that was killed can be started again under its number."""

    folder: Path
    postgres: Postgres
    url: str
    more: dict[str, str] = field(default_factory=dict)
    replicas: list[Served] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        return with_database(self.url) | {"EVENT_TRIGGER_LOG_LEVEL": "warning"} | self.more

    async def start(self, count: int, *command: str) -> None:
        """Starts more replicas, with `command` instead of `-m event_trigger serve` if given."""
        more = [
            start(self.folder, [], environment(**self.settings), command or SERVE)
            for _ in range(count)
        ]
        self.replicas += more
        await asyncio.gather(*(until_ready(one) for one in more))

    def restart(self, number: int) -> None:
        self.replicas[number] = start(self.folder, [], environment(**self.settings))

    def kill(self, number: int) -> None:
        self.replicas[number].process.kill()
        self.replicas[number].process.wait()

    @contextmanager
    def frozen(self, number: int) -> Iterator[None]:
        self.replicas[number].process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.replicas[number].process.send_signal(signal.SIGCONT)

    def client(self, number: int = 0, user_id: int = ADA) -> httpx.AsyncClient:
        return self.replicas[number].client(token_of(user_id))

    async def end(self) -> None:
        for one in self.replicas:
            if one.process.poll() is None:
                await one.end()

    def audit(self) -> tuple[int, str]:
        ended = run(self.folder, "verify", **self.settings)
        return ended.returncode, ended.stdout + ended.stderr


@asynccontextmanager
async def site(more: dict[str, str] | None = None) -> AsyncIterator[Site]:
    """Replicas have `more` settings, if there are any."""
    with open_folder(on_disk=True) as folder:
        postgres = Postgres(folder)
        postgres.start()
        url = await create_database(postgres.url)
        await fill_with_people_and_partitions(url)
        made = Site(folder, postgres, url, more or {})
        try:
            yield made
        finally:
            for one in made.replicas:
                if one.process.poll() is None:
                    one.process.kill()
                    one.process.wait()
            postgres.stop()


async def make(client: httpx.AsyncClient, details: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post("/triggers", json={"type": "scheduled", "details": details})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def seconds_behind(url: str) -> float:
    """How late the trigger is that waits for longest."""
    connection = await connect(url)
    try:
        behind = await connection.fetchval(
            "SELECT extract(epoch FROM clock_timestamp() - min(next_fire_at)) FROM triggers"
        )
    finally:
        await connection.close()
    return float(behind or 0)
