"""The log of a service begins with `started`; one that cannot start says why instead."""

import asyncio
import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from tests.support.outages import cable_to
from tests.support.pgbouncer import PROGRAM, pgbouncer, until_it_listens
from tests.support.processes import (
    ENDS_WITHIN,
    Served,
    environment,
    log_entries,
    serving,
    start,
    until_ready,
    with_database,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

ALONE, TWO = (), ("--workers", "2")
MISSPELT = {"EVENT_TRIGGER_LOG_FORMATT": "json"}
FORMS = pytest.mark.parametrize("workers", [ALONE, TWO], ids=["alone", "workers"])


def entries(served: Served) -> list[dict[str, Any]]:
    return [json.loads(line) for line in served.logged.splitlines()]


def events(served: Served) -> list[str]:
    return [one["event"] for one in entries(served)]


@FORMS
async def test_the_first_line_is_started_and_advice_follows(
    folder: Path, database_url: str, workers: tuple[str, ...]
) -> None:
    settings = with_database(database_url) | MISSPELT
    async with serving(folder, *workers, **settings) as served:
        pass

    started, *others = [one for one in events(served) if one != "request"]
    assert started == "started"
    assert others[0] == "unknown_setting"
    assert others.count("worker_started") == (0 if workers == ALONE else 2)
    assert others[-2:] == ["stopping", "stopped"]
    news = {"unknown_setting", "installation_renewed", "worker_started", "stopping", "stopped"}
    assert {*others} == news - ({"worker_started"} if workers == ALONE else set())


@FORMS
async def test_ctrl_c_is_told_to_the_last_line(
    folder: Path, database_url: str, workers: tuple[str, ...]
) -> None:
    async with serving(folder, *workers, **with_database(database_url)) as served:
        await served.end(signal.SIGINT)

    assert events(served)[-2:] == ["stopping", "stopped"]
    assert "Traceback" not in served.logged


@FORMS
async def test_the_first_line_of_a_first_start_is_started(
    folder: Path, workers: tuple[str, ...]
) -> None:
    async with serving(folder, *workers) as served:
        told = entries(served)

    first = told[0]
    assert first["event"] == "started"
    assert first["database"] == "embedded"
    assert first["zone_rules_found"].startswith(first["zone_rules"])


async def test_the_first_line_on_a_terminal_is_started(folder: Path, database_url: str) -> None:
    settings = with_database(database_url) | {"EVENT_TRIGGER_LOG_FORMAT": "console"}
    async with serving(folder, **settings, **MISSPELT) as served:
        pass

    plain = re.sub(r"\x1b\[\d*m", "", served.logged).splitlines()
    words = [re.split(r"\] ", line, maxsplit=1)[1].split()[0] for line in plain]
    assert words[:2] == ["started", "unknown_setting"]
    assert words[-2:] == ["stopping", "stopped"]


@FORMS
async def test_a_start_that_waits_says_at_once_why_and_is_started_once(
    folder: Path, database_url: str, workers: tuple[str, ...]
) -> None:
    async with cable_to(database_url) as (cable, url):
        await cable.cut()
        served = start(folder, workers, environment(**with_database(url), **MISSPELT))
        try:

            async def waits() -> int:
                return len(log_entries(served, "waiting_for_database"))

            await eventually(waits, bool)
            before = events(served)
            await cable.plug_in()
            await until_ready(served)
            await served.end()
        finally:
            await served.end(signal.SIGKILL)

    assert before[:2] == ["unknown_setting", "waiting_for_database"]
    assert "started" not in before
    assert events(served).count("started") == 1


@FORMS
async def test_a_start_that_fails_says_why_and_is_never_started(
    folder: Path, database_url: str, workers: tuple[str, ...]
) -> None:
    url = make_url(database_url).set(database="nothing").render_as_string(hide_password=False)
    served = start(folder, workers, environment(**with_database(url), **MISSPELT))

    code = await asyncio.to_thread(served.process.wait, ENDS_WITHIN)

    *lines, message = served.logged.splitlines()
    said = [json.loads(line)["event"] for line in lines]
    assert code == 1
    assert message.startswith("The service cannot start: ")
    assert said[0] == "unknown_setting"
    assert not {"started", "stopped"} & {*said}


def at_usual_port(url: str) -> str:
    """Removes the pooler's port, which the cable's socket does not have."""
    return make_url(url).difference_update_query(["port"]).render_as_string(hide_password=False)


@pytest.mark.skipif(PROGRAM is None, reason="this machine has no PgBouncer")
async def test_a_pooler_is_named_once_and_an_outage_in_lines_of_ours(
    folder: Path, database_url: str
) -> None:
    with pgbouncer(database_url) as pooled:
        await until_it_listens(pooled)
        async with (
            cable_to(pooled) as (cable, url),
            serving(folder, **with_database(at_usual_port(url))) as served,
            served.client() as client,
        ):

            async def ready() -> int:
                return (await client.get("/readyz")).status_code

            await cable.cut()
            await eventually(ready, lambda status: status == 503)
            await cable.plug_in()
            await eventually(ready, lambda status: status == 200)

    found = events(served)
    assert found[0] == "started"
    assert found.count("pooler_found") == 1
    assert [one for one in found if not re.fullmatch("[a-z_]+", one)] == []
