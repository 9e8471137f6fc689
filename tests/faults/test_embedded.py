"""Kills the embedded PostgreSQL again and again under load, and then keeps it from starting."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from event_trigger.db.embedded.server import running_postgres
from tests.faults.checker import check
from tests.faults.site import keep_calling, locations_of, make_secondly
from tests.support.gates import postmaster_of
from tests.support.processes import Served, open_folder, run, serving
from tests.support.triggers import make_api
from tests.support.waiting import eventually

KILLS = 4
DATA = ".event-trigger"


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder(on_disk=True) as made:
        yield made


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_an_embedded_postgres_that_is_killed_four_times_loses_nothing(
    folder: Path, workers: str
) -> None:
    answered: list[str] = []
    health: list[int] = []
    async with serving(folder, "--workers", workers) as served:
        token = await served.sign_in()
        async with served.client(token) as client:
            grids = await make_secondly(client, 10, catch_up="all")
            called = int((await make_api(client))["id"])
        tasks = [
            asyncio.create_task(keep_calling(served.client(token), called, answered)),
            asyncio.create_task(keep_calling(served.client(token), called, answered)),
            asyncio.create_task(watch(served, health)),
        ]
        away = [await kill_once(served, folder, health, answered) for _ in range(KILLS)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        code = await served.end()

    with running_postgres(folder / DATA) as url:
        report = await check(url, grids)
        kept = await locations_of(url, called)
        ended = await asyncio.to_thread(run, folder, "verify")

    lost = set(answered) - set(kept)
    print(f"{workers} processes, killed {KILLS} times: fires again after {away} s")
    print(f"  {len(answered)} calls answered, {len(lost)} of them lost; {report}")
    print(f"  healthz: {Counter(health)}; exit {code}; audit: {ended.stdout.strip()}")
    assert lost == set()
    assert max(kept.values()) == 1
    assert report.is_clean
    assert {200, 503} <= set(health)
    assert (code, ended.returncode) == (0, 0)


async def test_an_embedded_postgres_that_cannot_start_ends_the_service(folder: Path) -> None:
    async with serving(folder) as served:
        killed = postmaster_of(folder / DATA)
        (folder / DATA / "cluster").rename(folder / DATA / "moved away")
        killed.kill()

        async def alive() -> int | None:
            async with served.client() as client:
                return (await client.get("/healthz")).status_code

        await eventually(alive, lambda status: status == 503)
        code = await asyncio.to_thread(served.process.wait, 120)

    print(f"exit {code}: {served.logged.splitlines()[-1]}")
    assert code == 1
    assert "5 tries to start it again failed" in served.logged


async def test_a_worker_that_is_frozen_is_replaced(folder: Path) -> None:
    async with serving(folder, "--workers", "2") as served:
        workers = served.workers()
        workers[0].send_signal(signal.SIGSTOP)

        async def log() -> str:
            return served.logged

        await eventually(log, lambda text: text.count('"worker_started"') == 3)

    assert not workers[0].is_running()
    assert "worker_hung" in served.logged


async def kill_once(served: Served, folder: Path, health: list[int], answered: list[str]) -> float:
    """Kills the postmaster, waits until calls are answered again, and gives the seconds."""
    await asyncio.sleep(3)
    clock = asyncio.get_running_loop().time
    postmaster_of(folder / DATA).kill()
    started, failed = clock(), len([one for one in health if one == 503])

    async def failures() -> int:
        return len([one for one in health if one == 503])

    await eventually(failures, lambda found: found > failed)
    before = len(answered)

    async def calls() -> int:
        return len(answered)

    await eventually(calls, lambda found: found > before)
    return round(clock() - started, 1)


async def watch(served: Served, health: list[int]) -> None:
    async with served.client() as client:
        while True:
            health.append((await client.get("/healthz")).status_code)
            await asyncio.sleep(0.05)
