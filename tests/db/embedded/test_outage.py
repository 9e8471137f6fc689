"""A service reports that its embedded PostgreSQL has ended, and continues when it is back."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from event_trigger.db.embedded.server import url_if_running
from tests.support.databases import connect
from tests.support.gates import REFUSAL, gate_in, postmaster_of
from tests.support.processes import Served, log_entries, run, serving, until_over
from tests.support.reading import read_all
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("embedded servers")

DATA = ".event-trigger"
SECONDLY = {"interval": "PT1S", "recurring": True, "catch_up": "all"}


async def statuses(served: Served, path: str, *, count: int = 1) -> set[int]:
    """Returns the status of each call; all have separate connections, so any worker may answer."""
    found = set()
    for _ in range(count):
        async with served.client() as client:
            found.add((await client.get(path)).status_code)
    return found


async def until_status(served: Served, path: str, status: int, *, count: int = 1) -> None:
    await eventually(lambda: statuses(served, path, count=count), lambda seen: seen == {status})


async def say_a_secret(folder: Path) -> None:
    """Makes PostgreSQL log a user's value, which must not appear in the service's log."""
    connection = await connect(url_if_running(folder / DATA) or "")
    with pytest.raises(asyncpg.DataError):
        await connection.execute("SELECT 'canary-of-somebody'::int")
    await connection.close()


async def test_a_killed_embedded_postgres_comes_back_and_firing_goes_on(folder: Path) -> None:
    async with serving(folder) as served:
        token = await served.sign_in()
        async with served.client(token) as client:
            body = {"type": "scheduled", "details": SECONDLY}
            trigger = (await client.post("/triggers", json=body)).json()
            called = (await client.post("/triggers", json={"type": "api"})).json()["id"]
            answered = await client.post(f"/triggers/{called}/trigger")
            await say_a_secret(folder)
            killed = postmaster_of(folder / DATA)
            killed.kill()

            async def back() -> list[dict[str, Any]]:
                return log_entries(served, "embedded_postgres_started")

            await eventually(back, bool)
            await until_status(served, "/readyz", 200)
            before = len(await read_all(client, f"/events?trigger_id={trigger['id']}"))
            await eventually(
                lambda: read_all(client, f"/events?trigger_id={trigger['id']}"),
                lambda found: len(found) > before + 1,
            )
            kept = await client.get(answered.headers["Location"])
        healthy = await statuses(served, "/healthz")
        successor = postmaster_of(folder / DATA)
        family = served.family()
        await served.end(signal.SIGKILL)
        await until_over(family)  # the thread that started it again was its parent

    assert kept.status_code == 200
    assert healthy == {200}
    assert successor in family
    [ended] = log_entries(served, "embedded_postgres_ended")
    assert (ended["level"], ended["pid"], ended["signal"]) == ("error", killed.pid, "SIGKILL")
    assert any("unexpected postmaster exit" in line for line in ended["log"])
    assert "canary-of-somebody" in (folder / DATA / "postgres.log").read_text()
    assert "canary-of-somebody" not in served.logged


async def test_no_worker_is_alive_while_the_embedded_postgres_is_away(folder: Path) -> None:
    gate = gate_in(folder)
    settings = {"EVENT_TRIGGER_PG_BIN": str(gate.programs)}
    async with serving(folder, "--workers", "2", **settings) as served:
        before = await statuses(served, "/healthz", count=8)
        gate.shut()
        postmaster_of(folder / DATA).kill()
        await until_status(served, "/healthz", 503, count=8)
        async with served.client() as client:
            problem = await client.get("/healthz")
        checking = asyncio.create_task(asyncio.to_thread(run, folder, "check"))
        await asyncio.sleep(1)
        gate.open()
        checked = await checking
        await until_status(served, "/healthz", 200, count=8)
        await until_status(served, "/readyz", 200, count=8)
        gate.shut()
        postmaster_of(folder / DATA).kill()
        await until_status(served, "/healthz", 503, count=8)
        family = served.family()
        code = await served.end()
        await until_over(family)

    assert before == {200}
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["detail"].startswith("the embedded PostgreSQL has ended")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert code == 0
    assert any(
        REFUSAL in one["error"] for one in log_entries(served, "embedded_postgres_not_started")
    )
    assert "Traceback" not in served.logged


async def test_a_database_of_ones_own_never_makes_a_process_look_dead(
    anonymous: httpx.AsyncClient,
) -> None:
    answer = await anonymous.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
