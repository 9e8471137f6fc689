"""`serve --workers` replaces a worker that ends; a restart and an end refuse nobody."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from event_trigger.processes.worker import MAX_UNANSWERED_CHECKS, WorkerProcess
from tests.support.processes import (
    ENDS_WITHIN,
    ROOT,
    Served,
    environment,
    free_port,
    log_entries,
    serving,
    start,
    until_over,
    with_database,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

# outside of the service: what a busy machine does, on every machine; a worker is a fork of a fork
BUSY = """
import errno, os, time

def delay():
    for _ in range(80):
        if not os.path.exists("slow") or os.path.exists(f"go-{os.getpid()}"):
            break
        time.sleep(0.1)

def fork(fork=os.fork):
    if os.path.exists("full"):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()

os.register_at_fork(after_in_child=delay)
os.fork = fork
"""
CANNOT_IMPORT = """
import os, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "fastapi":
            raise ModuleNotFoundError("No module named 'fastapi'", name=name)

os.register_at_fork(after_in_child=lambda: sys.meta_path.insert(0, Hidden()))
"""
CANNOT_START = """
import os

forks = []

def end():
    forks.append(None)
    if len(forks) == 2:
        os._exit(7)

os.register_at_fork(after_in_child=end)
"""


@asynccontextmanager
async def two_workers(folder: Path, database_url: str) -> AsyncIterator[Served]:
    """Starts two workers; others start slowly if there is a file `slow`, and never if `full`.

    A file `go-1234` lets the process 1234 go on.
    """
    (folder / "sitecustomize.py").write_text(BUSY)
    settings = with_database(database_url) | {"PYTHONPATH": f"{ROOT / 'src'}:{folder}"}
    async with serving(folder, "--workers", "2", **settings) as served:
        yield served


async def until_served(served: Served, *, starts: int) -> None:
    """Waits until so many workers have started in all."""
    await until_logged(served, "worker_started", starts)


async def until_logged(served: Served, event: str, times: int) -> None:
    async def count() -> int:
        return len(log_entries(served, event))

    await eventually(count, lambda found: found >= times)


async def new_worker(served: Served, known: Collection[psutil.Process]) -> psutil.Process:
    """Waits for a worker's process beside the known ones."""

    async def new_ones() -> list[psutil.Process]:
        return [one for one in served.workers() if one not in known]

    [forked] = await eventually(new_ones, bool)
    return forked


async def test_a_worker_that_takes_eight_seconds_to_start_comes_up(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        (folder / "slow").touch()
        killed, survivor = served.workers()
        killed.kill()
        await until_served(served, starts=3)
        after = served.workers()

    assert survivor in after
    assert len(after) == 2
    [ended] = log_entries(served, "worker_ended")
    assert (ended["level"], ended["pid"], ended["signal"]) == ("error", killed.pid, "SIGKILL")


async def test_a_worker_that_is_told_to_end_at_its_first_moment_ends(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        (folder / "slow").touch()
        killed, survivor = served.workers()
        killed.kill()

        forked = await new_worker(served, {killed, survivor})
        forked.terminate()
        (folder / "slow").unlink()
        await until_over([forked])
        await until_served(served, starts=3)

    assert [one["signal"] for one in log_entries(served, "worker_ended")] == ["SIGKILL", "SIGTERM"]


async def test_workers_that_never_start_are_given_up_with_a_reason(
    folder: Path, database_url: str
) -> None:
    [given_up] = await given_up_by(folder, database_url, CANNOT_START)

    assert (given_up["level"], given_up["tries"]) == ("error", 5)


async def test_a_service_that_cannot_be_imported_is_given_up_with_a_reason(
    folder: Path, database_url: str
) -> None:
    [given_up] = await given_up_by(folder, database_url, CANNOT_IMPORT)

    assert given_up["level"] == "error"
    assert "No module named 'fastapi'" in (folder / "stderr-0").read_text()


async def given_up_by(folder: Path, database_url: str, meddling: str) -> list[dict[str, Any]]:
    """Gives the log's entries about workers that cannot start."""
    (folder / "sitecustomize.py").write_text(meddling)
    settings = with_database(database_url) | {"PYTHONPATH": f"{ROOT / 'src'}:{folder}"}
    served = start(folder, ["--workers", "2"], environment(**settings))

    code = await asyncio.to_thread(served.process.wait, ENDS_WITHIN)

    assert code == 3
    assert "/api/docs" not in served.printed
    entries = [json.loads(one) for one in served.logged.splitlines() if one.startswith("{")]
    return [one for one in entries if one["event"] == "workers_cannot_start"]


def status_of(process: psutil.Process) -> Callable[[], Awaitable[str]]:
    async def status() -> str:
        return process.status()

    return status


async def test_workers_serve_on_without_the_process_that_forks_them(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        killed, survivor = served.workers()
        template = killed.parent()
        assert template is not None
        template.kill()
        await eventually(status_of(template), lambda found: found == psutil.STATUS_ZOMBIE)
        async with served.client() as client:
            answers = [(await client.get("/healthz")).status_code for _ in range(5)]
        assert {killed, survivor} == {one for one in (killed, survivor) if one.is_running()}
        killed.kill()
        code = await asyncio.to_thread(served.process.wait, ENDS_WITHIN)
        await until_over([survivor])

    assert answers == [200] * 5
    assert code == 3
    [given_up] = log_entries(served, "workers_cannot_start")
    assert given_up["level"] == "error"


async def test_a_worker_for_which_there_is_no_room_is_started_later(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        (folder / "full").touch()
        killed, survivor = served.workers()
        killed.kill()
        await until_logged(served, "worker_not_started", 1)
        served.process.send_signal(signal.SIGHUP)
        await until_logged(served, "workers_not_restarted", 1)
        (folder / "full").unlink()
        await until_served(served, starts=3)
        after = served.workers()

    assert survivor in after
    assert len(after) == 2
    assert {one["error"] for one in log_entries(served, "worker_not_started")} == {
        "Resource temporarily unavailable"
    }


async def test_a_first_process_without_files_keeps_its_workers(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        first = psutil.Process(served.process.pid)
        limits = first.rlimit(psutil.RLIMIT_NOFILE)
        first.rlimit(psutil.RLIMIT_NOFILE, (3, limits[1]))
        killed, survivor = served.workers()
        killed.kill()
        await until_logged(served, "worker_not_started", 1)
        first.rlimit(psutil.RLIMIT_NOFILE, limits)
        await until_served(served, starts=3)
        after = served.workers()

    assert survivor in after
    assert len(after) == 2


async def test_a_template_that_was_stopped_goes_on(folder: Path, database_url: str) -> None:
    async with two_workers(folder, database_url) as served:
        killed, survivor = served.workers()
        template = killed.parent()
        assert template is not None
        template.suspend()
        killed.kill()
        await until_served(served, starts=3)
        after = served.workers()
        template.suspend()

    assert survivor in after
    assert len(after) == 2


async def test_a_restart_replaces_the_workers_and_refuses_nobody(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        before = served.workers()
        calling = asyncio.create_task(call_until_cancelled(served))
        psutil.Process(served.process.pid).send_signal(signal.SIGHUP)
        await until_served(served, starts=4)

        async def new_and_old() -> tuple[int, int]:
            found = set(served.workers())
            return len(found - {*before}), len([one for one in before if one.is_running()])

        await eventually(new_and_old, lambda found: found == (2, 0))
        calling.cancel()
        [answers] = await asyncio.gather(calling)

    assert set(answers) == {200}
    assert log_entries(served, "worker_ended") == []


async def test_a_second_restart_that_fails_leaves_no_worker_of_the_first_and_a_third_is_made(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        old = served.workers()
        (folder / "slow").touch()
        served.process.send_signal(signal.SIGHUP)
        first = await new_worker(served, old)
        (folder / f"go-{first.pid}").touch()
        second = await new_worker(served, {*old, first})
        (folder / "full").touch()
        served.process.send_signal(signal.SIGHUP)
        await until_logged(served, "workers_not_restarted", 1)
        (folder / "slow").unlink()
        await until_over([second])

        async def workers() -> list[psutil.Process]:
            return served.workers()

        kept = await eventually(workers, lambda found: len(found) == 2)
        (folder / "full").unlink()
        served.process.send_signal(signal.SIGHUP)
        new = await eventually(workers, lambda found: len(found) == 2 and not {*kept} & {*found})

    assert first in kept
    assert not {*new} & {*old}
    assert len(log_entries(served, "workers_restarting")) == 3
    assert log_entries(served, "worker_ended") == []


async def test_an_end_waits_for_workers_that_a_restart_has_replaced(
    folder: Path, database_url: str
) -> None:
    async with two_workers(folder, database_url) as served:
        old = served.workers()
        for one in old:
            one.suspend()
        served.process.send_signal(signal.SIGHUP)
        await until_served(served, starts=4)
        served.process.send_signal(signal.SIGTERM)
        await until_over([one for one in served.workers() if one not in old])
        for one in old:
            one.resume()
        code = await asyncio.to_thread(served.process.wait, ENDS_WITHIN)
        await until_over(old)

    assert code == 0
    assert "Traceback" not in served.logged


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


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_requests_just_before_the_end_are_in_the_log(
    folder: Path, database_url: str, workers: tuple[str, ...], how: signal.Signals
) -> None:
    async with serving(folder, *workers, **with_database(database_url)) as served:
        async with served.client() as client:
            for number in range(20):
                await client.get(f"/nothing/{number}")
        for one in served.workers() if workers else []:
            one.send_signal(how)  # as a terminal does
        await served.end(how)

    assert len([one for one in log_entries(served, "request") if "nothing" in one["path"]]) == 20
    assert "Traceback" not in served.logged


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
    worker = WorkerProcess()
    worker.is_serving = True

    for _ in range(MAX_UNANSWERED_CHECKS + 2):
        worker.check()

    assert not worker.is_hung


async def test_the_first_admin_can_sign_in_as_soon_as_workers_are_ready(
    folder: Path, empty_url: str
) -> None:
    port, password = free_port(), "a long enough phrase 77"
    first = {"EVENT_TRIGGER_ADMIN_EMAIL": "a@example.com", "EVENT_TRIGGER_ADMIN_PASSWORD": password}
    settings = environment(**with_database(empty_url), **first, PORT=port)
    served = start(folder, ["--workers", "2"], settings)
    form = {"username": "a@example.com", "password": password}
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            await eventually(partial(status_at, client, "/readyz"), lambda status: status == 200)
            answer = await client.post("/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        assert await served.end() == 0
    finally:
        if served.process.poll() is None:
            await served.end(signal.SIGKILL)


async def status_at(client: httpx.AsyncClient, path: str) -> int | None:
    try:
        return (await client.get(path)).status_code
    except httpx.TransportError:
        return None
