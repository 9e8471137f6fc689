"""A process without a database waits for it, answers 503 until then, and rarely gives up."""

import asyncio
import json
import signal
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from tests.support.certificates import Authority, server_context
from tests.support.outages import cable_to
from tests.support.processes import (
    Served,
    environment,
    free_port,
    log_entries,
    serving,
    start,
    until_over,
    until_ready,
    with_database,
)
from tests.support.tls_front import tls_front
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

ALONE, TWO = (), ("--workers", "2")
UNTRUSTED = "the server's certificate is not trusted"


async def until_it_answers(client: httpx.AsyncClient, served: Served) -> None:
    async def status() -> int:
        assert served.process.poll() is None, served.logged
        try:
            return (await client.get("/healthz")).status_code
        except httpx.TransportError:
            return 0

    await eventually(status, lambda found: found == 200)


async def ended(served: Served) -> int:
    return await asyncio.to_thread(served.process.wait, 60)


@pytest.mark.parametrize("workers", [ALONE, TWO], ids=["alone", "workers"])
async def test_a_process_waits_for_its_database_and_begins_when_it_comes(
    folder: Path, database_url: str, workers: tuple[str, ...]
) -> None:
    async with cable_to(database_url) as (cable, url):
        await cable.cut()
        port = free_port()
        served = start(folder, workers, environment(**with_database(url), PORT=port))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            try:
                await until_it_answers(client, served)
                ready, read = await client.get("/readyz"), await client.get("/events")
                signed_in = await client.post("/auth/token", data={"username": "x"})
                printed = served.printed
                await cable.plug_in()
                await until_ready(served)
                afterwards = await eventually(  # another worker may begin a little later
                    lambda: client.get("/events"), lambda answer: answer.status_code != 503
                )
                code = await served.end()
            finally:
                await served.end(signal.SIGKILL)

    assert ready.status_code == 503
    assert ready.json()["detail"] == "the database does not answer"
    assert {read.status_code, signed_in.status_code} == {503}
    assert read.headers["content-type"] == "application/problem+json"
    assert int(read.headers["retry-after"]) > 0
    assert "/readyz gives the reason" in read.json()["detail"]
    assert printed == ""
    assert served.printed.count("is ready.") == 1
    assert afterwards.status_code == 401
    waits = [json.loads(one) for one in served.logged.splitlines() if "waiting_for" in one]
    assert {one["error"] for one in waits} == {"no such file or directory"}
    assert "Traceback" not in served.logged
    assert code == 0


async def test_a_process_serves_by_the_host_that_answers(
    folder: Path, database_url: str, tmp_path: Path
) -> None:
    certificate = Authority().issue("localhost").save(tmp_path)
    async with tls_front(database_url, server_context(certificate)) as front:
        away_first = f"127.0.0.1:9,127.0.0.1:{front.port}"
        url = front.at("several", sslmode="require").replace(f"several:{front.port}", away_first)
        async with serving(folder, **with_database(url)) as served, served.client() as client:
            answer = await client.get("/events")

    assert answer.status_code == 401
    [started] = log_entries(served, "started")
    assert away_first in started["database"]


@pytest.mark.parametrize("workers", [ALONE, TWO], ids=["alone", "workers"])
async def test_a_process_that_does_not_trust_its_database_ends_and_says_why(
    folder: Path, database_url: str, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    certificate = Authority().issue("localhost").save(tmp_path)
    async with tls_front(database_url, server_context(certificate)) as front:
        settings = with_database(front.at("localhost", sslmode="verify-full"))
        served = start(folder, workers, environment(**settings))
        try:
            code = await ended(served)
        finally:
            await served.end(signal.SIGKILL)

    assert code == 1
    waits = [json.loads(one) for one in served.logged.splitlines() if "waiting_for" in one]
    assert {one["error"].partition(":")[0] for one in waits} == {UNTRUSTED}
    assert f"The service cannot start: {UNTRUSTED}" in served.logged
    assert "(sslrootcert)" in served.logged.splitlines()[-1]


async def test_a_process_that_waits_ends_when_it_is_told_to(folder: Path) -> None:
    port, nowhere = free_port(), "postgresql://nobody:hunter2@127.0.0.1:9/nothing"
    served = start(folder, ALONE, environment(**with_database(nowhere), PORT=port))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        try:
            await until_it_answers(client, served)
            family = served.family()
            code = await served.end()
            await until_over(family)
        finally:
            await served.end(signal.SIGKILL)

    assert code == 0
    assert "connection refused" in served.logged
    assert "hunter2" not in served.logged + served.printed


@pytest.mark.parametrize(
    ("workers", "changes", "words"),
    [
        (
            ALONE,
            {"username": "nobody", "password": "hunter2"},
            'role "nobody" does not exist (28000). Set the right user and password in DATABASE_URL',
        ),
        (
            TWO,
            {"database": "nothing", "password": "hunter2"},
            'database "nothing" does not exist (3D000). Name a database that exists in',
        ),
    ],
    ids=["alone", "workers"],
)
async def test_a_process_that_its_database_refuses_ends_and_says_what_to_set(
    folder: Path,
    database_url: str,
    workers: tuple[str, ...],
    changes: dict[str, str],
    words: str,
) -> None:
    url = make_url(database_url).set(**changes)  # type: ignore[arg-type]
    settings = with_database(url.render_as_string(hide_password=False))
    served = start(folder, workers, environment(**settings))
    family = served.family()
    try:
        code = await ended(served)
        await until_over(family)
    finally:
        await served.end(signal.SIGKILL)

    assert code == 1
    assert f"The service cannot start: {words}" in served.logged
    assert "hunter2" not in served.logged
    assert "Traceback" not in served.logged
    assert served.printed == ""
