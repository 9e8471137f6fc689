"""Reads a peer's instructions from bench/peer.py, and writes the row of each of its jobs."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg


@dataclass(frozen=True)
class Told:
    all: dict[str, Any]

    @property
    def plants(self) -> bool:
        return "plant" in self.all["doing"]

    @property
    def works(self) -> bool:
        return "work" in self.all["doing"]

    @property
    def idle(self) -> int:
        return self.all["idle"]

    @property
    def much_later(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=365)

    def instants(self) -> Iterator[datetime]:
        """Yields each job's due time; call it after the jobs that are due much later were added."""
        first = datetime.now(UTC) + timedelta(seconds=self.all["ahead"])
        for number in range(self.all["count"]):
            yield first + timedelta(seconds=number * self.all["every"])

    def begins(self) -> None:
        print(time.time(), flush=True)

    async def pool(self, connections: int) -> asyncpg.Pool:
        return await asyncpg.create_pool(
            host=self.all["host"],
            user=self.all["user"],
            database=self.all["database"],
            min_size=connections,
            max_size=connections,
        )

    async def record(self, pool: asyncpg.Pool, number: int, due_at: datetime) -> None:
        await pool.execute(self.all["insert"], number, due_at, self.all["payload"])


def told() -> Told:
    return Told(json.loads(sys.argv[1]))
