"""Runs hourly jobs of APScheduler 3, in memory or in its SQLAlchemyJobStore."""

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
IN_MEMORY = TOLD.all["store"] == "memory"
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


def add(scheduler: AsyncIOScheduler, number: int, due_at: datetime) -> None:
    hourly = IntervalTrigger(hours=1, start_date=due_at, timezone=UTC)
    scheduler.add_job(fire, hourly, [number, due_at], id=str(number), next_run_time=due_at)


async def plant(scheduler: AsyncIOScheduler) -> None:
    """Adds the jobs that are due much later first, so that the due ones are not delayed by them."""
    for number in range(TOLD.idle):
        add(scheduler, -1 - number, TOLD.much_later)
    if not IN_MEMORY:
        await store_planted(scheduler)
        scheduler.remove_all_jobs()
    for number, due_at in enumerate(TOLD.instants()):
        add(scheduler, number, due_at)
    if not IN_MEMORY:
        await store_planted(scheduler)


async def store_planted(scheduler: AsyncIOScheduler) -> None:
    """Writes the rows that `add_job` would write, but in bulk: it takes a millisecond for each."""
    rows = [
        (job.id, datetime_to_utc_timestamp(job.next_run_time), pickle.dumps(job.__getstate__()))
        for job in scheduler.get_jobs()
    ]
    columns = ["id", "next_run_time", "job_state"]
    pool = await TOLD.pool(1)
    await pool.copy_records_to_table("apscheduler_jobs", records=rows, columns=columns)
    await pool.close()


async def main() -> None:
    scheduler = scheduler_with(MemoryJobStore() if IN_MEMORY or TOLD.plants else sql_store())
    if TOLD.works:
        POOLS.append(await TOLD.pool(CONNECTIONS))
    if TOLD.plants:
        if not IN_MEMORY:
            scheduler_with(sql_store())  # makes the table
        await plant(scheduler)
    if TOLD.works:
        TOLD.begins()
        scheduler.resume()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
