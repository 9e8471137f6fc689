"""Runs a peer in separate processes on a copy of our database: it adds its jobs and works them off.

A peer writes one row of our `events` for each job, each in its own transaction.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from tests.faults.site import Site
from tests.support.databases import connect, create_database, drop_database
from tests.support.services import ADA, fill_with_people_and_partitions

_ENDS_WITHIN = 5.0  # seconds, or it is killed
_PEERS = Path(__file__).with_name("peers")
_INSERT = f"""
    INSERT INTO events (shard, owner_id, trigger_id, type, triggered_at, scheduled_for, payload,
        is_test)
    VALUES ({ADA % 64}, {ADA}, $1, 'scheduled', clock_timestamp(), $2, $3, false)
"""
PAYLOAD = '{"padding": "xxxxxxxx"}'
GRAPHILE_LEFT_OUT = "graphile-worker is left out: that needs npm (`make .venv/bench.stamp`)"


@dataclass(frozen=True)
class Work:
    """`count` jobs, due `every` seconds one after another, among `idle` ones due in a year.

    The first is due `ahead` seconds after the jobs were added. The run ends after `patience`
    seconds without another row.
    """

    count: int
    every: float = 0.0
    ahead: float = 0.0
    idle: int = 0
    patience: float = 10.0


@dataclass(frozen=True, eq=False)
class Peer:
    """A peer's program and options; with `in_memory`, one process adds the jobs and works."""

    name: str
    program: str
    options: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    in_memory: bool = False

    @property
    def command(self) -> list[str]:
        if self.program.endswith(".mjs"):
            return ["node", str(_PEERS / self.program)]
        return [sys.executable, "-m", f"bench.peers.{self.program}"]


def has_graphile() -> bool:
    return shutil.which("node") is not None and (_PEERS / "node_modules/graphile-worker").is_dir()


async def blank_database(built: Site) -> str:
    """Returns the name of a migrated database without connections, for peers to copy."""
    url = await create_database(built.postgres.url)
    await fill_with_people_and_partitions(url)
    return str(make_url(url).database)


@asynccontextmanager
async def worked_off(
    built: Site, blank: str, peer: Peer, work: Work
) -> AsyncIterator[tuple[Any, float]]:
    """Lets the peer work; yields a connection to its database, and the time at which it began."""
    url = await create_database(built.postgres.url, template=blank)
    database = await connect(url)
    try:
        if not peer.in_memory:
            with _process(peer, url, work, "plant") as planting:
                assert await asyncio.to_thread(planting.wait) == 0, "could not add its jobs"
            await database.execute("VACUUM ANALYZE")
            await database.execute("CHECKPOINT")
        yield database, await _work_off(database, peer, url, work)
    finally:
        await database.close()
        await drop_database(url)


async def _work_off(database: Any, peer: Peer, url: str, work: Work) -> float:
    """Waits until all jobs are done, or none was done for `patience` seconds."""
    doing = "plant and work" if peer.in_memory else "work"
    with ExitStack() as stack:
        workers = [
            stack.enter_context(_process(peer, url, work, doing)) for _ in range(peer.processes)
        ]
        began = min([await asyncio.to_thread(_read_start, one) for one in workers])
        seen, waiting_since = 0, time.time()
        while seen < work.count and time.time() - waiting_since < work.ahead + work.patience:
            await asyncio.sleep(0.2)
            assert all(one.poll() is None for one in workers), "ended while it worked"
            now = await database.fetchval("SELECT count(*) FROM events")
            if now != seen:
                seen, waiting_since = now, time.time()
        return began


def _read_start(process: subprocess.Popen[bytes]) -> float:
    """Reads the time (seconds since 1970) that a peer prints when it begins."""
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said, "ended before it began"
    return float(said)


@contextmanager
def _process(peer: Peer, url: str, work: Work, doing: str) -> Iterator[subprocess.Popen[bytes]]:
    parsed = make_url(url)
    told: dict[str, Any] = {"doing": doing, "insert": _INSERT, "payload": PAYLOAD}
    told |= {"user": parsed.username, "database": parsed.database, **parsed.query}
    told |= asdict(work) | peer.options
    with running([*peer.command, json.dumps(told)]) as process:
        yield process


@contextmanager
def running(
    command: Sequence[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a peer's process during the body."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
