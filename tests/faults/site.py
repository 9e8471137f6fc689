"""Runs a PostgreSQL that a test can kill, and replicas of the service."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from event_trigger.db.embedded.server import running_postgres
from tests.faults.checker import Grid
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
from tests.support.waiting import eventually

SECONDLY = {"interval": "PT1S", "recurring": True}


class Postgres:
    """A durable server, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self.url = ""

    def start(self) -> None:
        self.url = self._running.enter_context(running_postgres(self._folder / "postgres"))

    def stop(self) -> None:
        self._running.close()

    def kill(self) -> None:
        """Kills the postmaster with SIGKILL; its children end by themselves."""
        [postmaster] = [one for one in psutil.Process().children() if one.name() == "postgres"]
        postmaster.kill()
        self._running.close()


@dataclass
class Site:
    """A server and its replicas; one that was killed can be started again under its number."""

    folder: Path
    postgres: Postgres
    url: str
    more: dict[str, str] = field(default_factory=dict)
    replicas: list[Served] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        return with_database(self.url) | {"EVENT_TRIGGER_LOG_LEVEL": "warning"} | self.more

    async def start(self, count: int, *command: str) -> None:
        """Starts `count` more replicas, by `-m event_trigger serve` or another command."""
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
    """Runs a site whose replicas have `more` settings."""
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


async def make_secondly(client: httpx.AsyncClient, count: int, **details: Any) -> dict[int, Grid]:
    """Makes triggers that fire every second, and gives their grids by id."""
    grids = {}
    for _ in range(count):
        made = await make(client, {**SECONDLY, **details})
        first = datetime.fromisoformat(made["created_at"]) + timedelta(seconds=1)
        grids[made["id"]] = Grid(first)
    return grids


async def keep_calling(client: httpx.AsyncClient, trigger_id: int, locations: list[str]) -> None:
    """Fires a trigger until it is cancelled, and collects the event that each answer names.

    Failures of the connection and 503 are ignored.
    """
    async with client:
        while True:
            await asyncio.sleep(0.02)
            try:
                answer = await client.post(f"/triggers/{trigger_id}/trigger")
            except httpx.TransportError:
                continue
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                locations.append(answer.headers["Location"])


async def locations_of(url: str, trigger_id: int) -> Counter[str]:
    """Counts a trigger's events by the path that answers give as their location."""
    connection = await connect(url)
    try:
        rows = await connection.fetch("SELECT id FROM events WHERE trigger_id = $1", trigger_id)
    finally:
        await connection.close()
    return Counter(f"/events/{row['id']}" for row in rows)


async def count_events(url: str) -> int:
    connection = await connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM events"))
    finally:
        await connection.close()


async def until_on_time(url: str) -> None:
    """Waits until no trigger is overdue by more than a second."""
    await eventually(lambda: seconds_behind(url), lambda late: late < 1)


async def seconds_behind(url: str) -> float:
    """Gives the lateness of the most overdue trigger, in seconds; negative when none is due."""
    connection = await connect(url)
    try:
        behind = await connection.fetchval(
            "SELECT extract(epoch FROM clock_timestamp() - min(next_fire_at)) FROM triggers"
        )
    finally:
        await connection.close()
    return float(behind or 0)
