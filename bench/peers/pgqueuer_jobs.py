"""Runs jobs of PgQueuer with an execution time, in batches."""

import json
from datetime import UTC, datetime, timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench.peers.told import Told, told

CONNECTIONS = 10
AT_ONCE = 10_000


async def plant(told: Told, pool: asyncpg.Pool) -> None:
    queries = Queries(AsyncpgPoolDriver(pool))
    await queries.install()
    idle = ((number, told.much_later) for number in range(told.idle))
    for jobs in (list(idle), list(enumerate(told.instants()))):
        for at in range(0, len(jobs), AT_ONCE):
            some = jobs[at : at + AT_ONCE]
            now = datetime.now(UTC)
            payloads = [json.dumps([number, due.timestamp()]).encode() for number, due in some]
            await queries.enqueue(
                ["fire"] * len(some),
                payloads,
                [0] * len(some),
                [max(due - now, timedelta()) for _, due in some],
            )


async def work(told: Told, pool: asyncpg.Pool) -> None:
    pgq = PgQueuer.from_asyncpg_pool(pool)
    records = await told.pool(CONNECTIONS)

    @pgq.entrypoint("fire")
    async def fire(job: Job) -> None:
        number, seconds = json.loads(job.payload)
        await told.record(records, number, datetime.fromtimestamp(seconds, UTC))

    told.begins()
    looks_every = timedelta(seconds=told.all["looks_every"])
    await pgq.run(batch_size=told.all["batch_size"], dequeue_timeout=looks_every)


async def main() -> None:
    asked = told()
    pool = await asked.pool(CONNECTIONS)
    if asked.plants:
        await plant(asked, pool)
    if asked.works:
        await work(asked, pool)


if __name__ == "__main__":
    uvloop.run(main())
