"""Runs a minimal Flask service by gunicorn, with the number of threads that is fastest here."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

import psutil
from jose import jwt
from sqlalchemy import make_url

from bench.cost import Cost, measure
from bench.load import get, post
from bench.peer import running
from bench.report import Rounds
from tests.support.services import SECRET

PROCESSES = 2
THREADS = (1, 2, 4, 8, 16)  # of each process
TRIGGERS = 32
CALLERS, TRIES = 32, 2  # while it is tuned
_MAKE_TABLES = (
    "import os, sys; from bench.peers.flask_app import create_tables;"
    " create_tables(os.environ['BENCH_DATABASE_URL'], triggers=int(sys.argv[1]))"
)
_STARTS_WITHIN = 60.0  # seconds


@dataclass(frozen=True)
class Flask:
    """A running service."""

    url: str
    process: psutil.Process

    async def measure(self, kind: str, body: bytes, *, callers: int, seconds: float) -> Cost:
        """Measures one kind of requests, a field of Tuned; calls send `body`."""
        requests = self._requests(kind, body)
        return await measure(self.url, self._family, requests, callers=callers, seconds=seconds)

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def _requests(self, kind: str, body: bytes) -> list[bytes]:
        token = jwt.encode({"sub": "1"}, SECRET)
        triggers = [f"{self.url}/triggers/{number}" for number in range(1, TRIGGERS + 1)]
        if kind == "fire":
            return [post(f"{one}/trigger", token, body) for one in triggers]
        if kind == "get":
            return [get(one, token) for one in triggers]
        return [get(f"{self.url}/events?limit=50", token)]


class Tuned(NamedTuple):
    """Answers a second to calls, to reads of a trigger, and to reads of 50 events."""

    fire: float
    get: float
    page: float


async def tune(database_url: str, body: bytes, *, seconds: float) -> Rounds[Tuned]:
    """Makes the tables, and measures each number of threads, in turns."""
    arguments = [sys.executable, "-c", _MAKE_TABLES, str(TRIGGERS)]
    with running(arguments, _environment(database_url)) as making:
        assert await asyncio.to_thread(making.wait) == 0, "could not make its tables"
    tried = Rounds[Tuned]()
    for threads in THREADS * TRIES:
        await tried.take(_named(threads), _tune(database_url, body, threads, seconds))
    return tried


@asynccontextmanager
async def best(database_url: str, tried: Rounds[Tuned]) -> AsyncIterator[Mapping[str, Flask]]:
    """Runs the fastest number of threads for each kind of requests, if there is one."""
    found = tried.medians()
    fastest = {
        kind: max(found, key=lambda name, at=at: found[name][at])  # type: ignore[misc]
        for at, kind in enumerate(Tuned._fields)
        if found
    }
    running: dict[str, Flask] = {}
    async with AsyncExitStack() as stack:
        for name in set(fastest.values()):
            threads = next(one for one in THREADS if _named(one) == name)
            starting = stack.enter_async_context(_flask(database_url, threads))
            served = await tried.attempt(name, starting)
            if served is not None:
                running[name] = served
        yield {kind: running[name] for kind, name in fastest.items() if name in running}


async def _tune(database_url: str, body: bytes, threads: int, seconds: float) -> Tuned:
    async with _flask(database_url, threads) as served:
        rates = []
        for kind in Tuned._fields:
            await served.measure(kind, body, callers=CALLERS, seconds=seconds / 2)  # to warm up
            found = await served.measure(kind, body, callers=CALLERS, seconds=seconds)
            rates.append(found.per_second)
    return Tuned(*rates)


@asynccontextmanager
async def _flask(database_url: str, threads: int) -> AsyncIterator[Flask]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "bench.peers.flask_app:create_app()"]
    options = f"--bind 127.0.0.1:{port} --worker-class gthread --log-level warning"
    options += f" --workers {PROCESSES} --threads {threads}"
    with running([*command, *options.split()], _environment(database_url)) as process:
        async with asyncio.timeout(_STARTS_WITHIN):
            await until_listening(port)
        yield Flask(f"http://127.0.0.1:{port}", psutil.Process(process.pid))


def _named(threads: int) -> str:
    return f"Flask, {PROCESSES} × {threads} thread{'s' * (threads > 1)}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def until_listening(port: int, *, look_every: float = 0.1) -> None:
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(look_every)


def _environment(database_url: str) -> dict[str, str]:
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    shown = url.render_as_string(hide_password=False)
    return os.environ | {"BENCH_DATABASE_URL": shown, "BENCH_SECRET": SECRET}
