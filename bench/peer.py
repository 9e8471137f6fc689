"""Runs a peer in processes of its own, on a copy of our database: it plants, and it works.

A peer writes one row of our `events` for each job, in a transaction of its own.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from tests.faults.site import Site
from tests.support.databases import connect, create_database, drop_database
from tests.support.services import ADA, fill_with_people_and_partitions

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
    """So many jobs, each so many seconds after the one before, among others due in a year.

    The first is due `ahead` seconds after the planting; after `patience` seconds without another
    row no more is expected.
    """

    count: int
    every: float = 0.0
    ahead: float = 0.0
    idle: int = 0
    patience: float = 10.0


@dataclass(frozen=True, eq=False)
class Peer:
    """`options` are its own; one that keeps its jobs in memory plants in the process that works."""

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
    """The name of a database as ours is, for peers to copy: nobody is connected to it."""
    url = await create_database(built.postgres.url)
    await fill_with_people_and_partitions(url)
    return str(make_url(url).database)


@asynccontextmanager
async def worked_off(
    built: Site, blank: str, peer: Peer, work: Work
) -> AsyncIterator[tuple[Any, float]]:
    """A connection to the database with what the peer has done, and when it began to work."""
    url = await create_database(built.postgres.url, template=blank)
    database = await connect(url)
    try:
        if not peer.in_memory:
            with _process(peer, url, work, "plant") as planting:
                assert await asyncio.to_thread(planting.wait) == 0, peer.name
            await database.execute("VACUUM ANALYZE")
            await database.execute("CHECKPOINT")
        yield database, await _work_off(database, peer, url, work)
    finally:
        await database.close()
        await drop_database(url)


async def _work_off(database: Any, peer: Peer, url: str, work: Work) -> float:
    """Ends when all are done, or when no more have been for a while."""
    doing = "plant and work" if peer.in_memory else "work"
    with ExitStack() as stack:
        workers = [
            stack.enter_context(_process(peer, url, work, doing)) for _ in range(peer.processes)
        ]
        began = min([await asyncio.to_thread(_said_when, one) for one in workers])
        seen, waiting_since = 0, time.time()
        while seen < work.count and time.time() - waiting_since < work.ahead + work.patience:
            await asyncio.sleep(0.2)
            assert all(one.poll() is None for one in workers), f"{peer.name} has ended"
            now = await database.fetchval("SELECT count(*) FROM events")
            if now != seen:
                seen, waiting_since = now, time.time()
        return began


def _said_when(process: subprocess.Popen[bytes]) -> float:
    """A peer says the time, in seconds since 1970, at the moment when it begins."""
    assert process.stdout is not None
    return float(process.stdout.readline())


@contextmanager
def _process(peer: Peer, url: str, work: Work, doing: str) -> Iterator[subprocess.Popen[bytes]]:
    parsed = make_url(url)
    told: dict[str, Any] = {"doing": doing, "insert": _INSERT, "payload": PAYLOAD}
    told |= {"user": parsed.username, "database": parsed.database, **parsed.query}
    told |= asdict(work) | peer.options
    command = [*peer.command, json.dumps(told)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
