"""`serve --workers` replaces a worker that ends; a restart and an end refuse nobody."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from uvicorn import Config

from event_trigger.workers import MAX_UNANSWERED_CHECKS, WorkerProcess
from tests.support.processes import (
    ENDS_WITHIN,
    ROOT,
    Served,
    environment,
    log_entries,
    serving,
    start,
    with_database,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

# outside of the service: what a busy machine does, on every machine
SLOW_START = """
import os, sys, time
if "--multiprocessing-fork" in sys.orig_argv and os.path.exists("slow"):
    time.sleep(8)
"""
CANNOT_START = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "fastapi" and "--multiprocessing-fork" in sys.orig_argv:
            raise ModuleNotFoundError("No module named 'fastapi'", name=name)

sys.meta_path.insert(0, Hidden())
"""


@asynccontextmanager
async def two_workers(folder: Path, database_url: str) -> AsyncIterator[Served]:
    """Starts two workers, whose successors start slowly if the folder has a file `slow`."""
    (folder / "sitecustomize.py").write_text(SLOW_START)
    settings = with_database(database_url) | {"PYTHONPATH": f"{ROOT / 'src'}:{folder}"}
    async with serving(folder, "--workers", "2", **settings) as served:
        yield served


def workers(served: Served) -> list[psutil.Process]:
    return [one for one in psutil.Process(served.process.pid).children() if is_worker(one)]


def is_worker(process: psutil.Process) -> bool:
    try:
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        return not is_zombie and "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has just ended
        return False


async def until_served(served: Served, *, starts: int) -> None:
    """Waits until so many workers have started in all."""

    async def count() -> int:
        return len(log_entries(served, "worker_started"))

    await eventually(count, lambda found: found == starts)


async def test_a_worker_that_takes_eight_seconds_to_start_comes_up(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        (folder / "slow").touch()
        killed, survivor = workers(served)
        killed.kill()
        await until_served(served, starts=3)
        after = workers(served)

    assert survivor in after
    assert len(after) == 2
    [ended] = log_entries(served, "worker_ended")
    assert (ended["level"], ended["pid"], ended["signal"]) == ("error", killed.pid, "SIGKILL")


async def test_workers_that_never_start_are_given_up_with_a_reason(
    folder: Path, database_url: str
) -> None:
    (folder / "sitecustomize.py").write_text(CANNOT_START)
    settings = with_database(database_url) | {"PYTHONPATH": f"{ROOT / 'src'}:{folder}"}
    served = start(folder, ["--workers", "2"], environment(**settings))

    code = await asyncio.to_thread(served.process.wait, ENDS_WITHIN)

    assert code == 3
    assert "No module named 'fastapi'" in served.logged
    entries = [json.loads(one) for one in served.logged.splitlines() if one.startswith("{")]
    [given_up] = [one for one in entries if one["event"] == "workers_cannot_start"]
    assert (given_up["level"], given_up["tries"]) == ("error", 5)
    assert "/api/docs" not in served.printed


async def test_a_restart_replaces_the_workers_and_refuses_nobody(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        before = workers(served)
        calling = asyncio.create_task(call_until_cancelled(served))
        psutil.Process(served.process.pid).send_signal(signal.SIGHUP)
        await until_served(served, starts=4)

        async def new_and_old() -> tuple[int, int]:
            found = set(workers(served))
            return len(found - {*before}), len([one for one in before if one.is_running()])

        await eventually(new_and_old, lambda found: found == (2, 0))
        calling.cancel()
        [answers] = await asyncio.gather(calling)

    assert set(answers) == {200}
    assert log_entries(served, "worker_ended") == []


async def call_until_cancelled(served: Served) -> list[int]:
    answers = []
    try:
        while True:
            async with served.client() as client:
                answers.append((await client.get("/healthz")).status_code)
            await asyncio.sleep(0.02)  # or else the new workers would hardly get to start
    except asyncio.CancelledError:
        return answers


async def test_who_has_just_connected_is_answered_while_the_process_ends(
    folder: Path, database_url: str
) -> None:
    async with serving(folder, **with_database(database_url)) as served:
        url = httpx.URL(served.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)

        served.process.terminate()
        await eventually(lambda: accepts(url), lambda found: not found)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer.lower()


async def test_a_hangup_ends_a_single_process_in_good_order(
    folder: Path, database_url: str
) -> None:
    async with serving(folder, **with_database(database_url)) as served:
        async with served.client() as client:
            assert (await client.get("/healthz")).status_code == 200
        ended = await served.end(signal.SIGHUP)

    assert ended == 0
    assert len(log_entries(served, "stopped")) == 1


async def accepts(url: httpx.URL) -> bool:
    try:
        _, writer = await asyncio.open_connection(url.host, url.port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def test_looks_within_a_moment_are_one_and_no_reason_to_replace_a_worker() -> None:
    worker = WorkerProcess(Config("no:app"), [])
    worker.is_serving = True

    for _ in range(MAX_UNANSWERED_CHECKS + 2):
        worker.check()

    assert not worker.is_hung
