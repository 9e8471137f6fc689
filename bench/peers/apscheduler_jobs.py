"""APScheduler 3: jobs that are hourly, in memory or in its SQLAlchemyJobStore."""

import asyncio
import logging
import pickle
from datetime import UTC, datetime

from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from apscheduler.util import datetime_to_utc_timestamp
from sqlalchemy import URL

from bench.peers.told import told

CONNECTIONS = 10
TOLD = told()
POOLS = []  # a job in a store names its function, which finds the pool here
logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # it logs each job that it passes over


async def fire(number: int, due_at: datetime) -> None:
    await TOLD.record(POOLS[0], number, due_at)


def sql_store() -> SQLAlchemyJobStore:
    url = URL.create(
        "postgresql+psycopg",
        username=TOLD.all["user"],
        database=TOLD.all["database"],
        query={"host": TOLD.all["host"]},
    )
    return SQLAlchemyJobStore(url)


def scheduler_with(store: MemoryJobStore | SQLAlchemyJobStore) -> AsyncIOScheduler:
    grace = {} if TOLD.all.get("default_grace") else {"misfire_grace_time": None}
    scheduler = AsyncIOScheduler(timezone=UTC, jobstores={"default": store}, job_defaults=grace)
    scheduler.start(paused=True)
    return scheduler


def plant(scheduler: AsyncIOScheduler) -> None:
    def add(number: int, due_at: datetime) -> None:
        hourly = IntervalTrigger(hours=1, start_date=due_at, timezone=UTC)
        scheduler.add_job(fire, hourly, [number, due_at], id=str(number), next_run_time=due_at)

    for number in range(TOLD.idle):
        add(-1 - number, TOLD.much_later)
    for number, due_at in enumerate(TOLD.instants()):
        add(number, due_at)


async def store_planted(memory: MemoryJobStore) -> None:
    """Writes the rows that its `add_job` would, but all at once: it takes a millisecond for one."""
    rows = [
        (job.id, datetime_to_utc_timestamp(job.next_run_time), pickle.dumps(job.__getstate__()))
        for job in memory.get_all_jobs()
    ]
    columns = ["id", "next_run_time", "job_state"]
    async with (await TOLD.pool(1)).acquire() as connection:
        await connection.copy_records_to_table("apscheduler_jobs", records=rows, columns=columns)


async def main() -> None:
    in_memory = TOLD.all["store"] == "memory"
    store = MemoryJobStore() if in_memory or not TOLD.works else sql_store()
    scheduler = scheduler_with(store)
    if TOLD.works:
        POOLS.append(await TOLD.pool(CONNECTIONS))
    if TOLD.plants:
        plant(scheduler)
        if not in_memory:
            scheduler_with(sql_store())  # makes the table
            await store_planted(store)
    if TOLD.works:
        TOLD.begins()
        scheduler.resume()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
