"""Runs jobs of Procrastinate with one worker, which deletes finished jobs."""

import asyncio
import logging
from datetime import datetime

from procrastinate import App, PsycopgConnector

from bench.peers.told import told

CONNECTIONS = 10
TOLD = told()
POOLS = []
NAMES = {"host": "host", "user": "user", "database": "dbname"}
logging.getLogger("procrastinate").setLevel(logging.ERROR)
app = App(
    connector=PsycopgConnector(
        kwargs={name: TOLD.all[key] for key, name in NAMES.items()},
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
    )
)


@app.task(name="fire")
async def fire(number: int, due_at: str) -> None:
    await TOLD.record(POOLS[0], number, datetime.fromisoformat(due_at))


async def main() -> None:
    async with app.open_async():
        if TOLD.plants:
            await app.schema_manager.apply_schema_async()
            jobs = [
                {"number": n, "due_at": due.isoformat()} for n, due in enumerate(TOLD.instants())
            ]
            await fire.batch_defer_async(*jobs)
        if TOLD.works:
            POOLS.append(await TOLD.pool(CONNECTIONS))
            TOLD.begins()
            await app.run_worker_async(concurrency=TOLD.all["concurrency"], delete_jobs="always")


if __name__ == "__main__":
    asyncio.run(main())
