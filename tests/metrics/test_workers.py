"""With `--workers`, a scrape of any process tells of all, and a port of its own needs no login."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from tests.support.destinations import make_destination
from tests.support.downtime import set_back
from tests.support.metrics import Scrape, scrape
from tests.support.processes import Served, free_port, serving, with_database
from tests.support.receiver import receiving
from tests.support.services import ADA, PLAIN_HTTP, token_of
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

EVENTS, ATTEMPTS = "event_trigger_events_fired_total", "event_trigger_delivery_attempts_total"
FIRES, ARRIVING, FAILING = 1_000, 90, 10
CALLS_AT_ONCE = 20
LIMIT = "event_trigger_sender_in_flight_limit"


def metrics_port(served: Served) -> int:
    """Finds the port beside that of the API, which the first process has bound."""
    main = httpx.URL(served.url).port
    bound = psutil.Process(served.process.pid).net_connections("tcp")
    [port] = {one.laddr.port for one in bound if one.status == psutil.CONN_LISTEN} - {main}
    return int(port)


def fired_by_each(numbers: Path) -> list[float]:
    """Reads the file of each worker alone: how many calls it has fired."""
    found = []
    for file in numbers.glob("counter_*.db"):
        families = MultiProcessCollector.merge([str(file)])  # type: ignore[no-untyped-call]
        samples = [one for family in families for one in family.samples if one.name == EVENTS]
        found.append(sum(one.value for one in samples))
    return found


async def fire(served: Served, trigger: dict[str, Any], count: int) -> None:
    """Calls on new connections, so that both workers accept some."""
    path = f"/triggers/{trigger['id']}/trigger"
    for start in range(0, count, CALLS_AT_ONCE):
        async with served.client(token_of(ADA)) as client:
            calls = range(start, min(start + CALLS_AT_ONCE, count))
            answers = await asyncio.gather(*(client.post(path) for _ in calls))
        assert {one.status_code for one in answers} == {200}


async def test_two_workers_add_up_and_what_a_killed_one_counted_stays(
    folder: Path, database_url: str, database: Any
) -> None:
    others, port = folder / "numbers", free_port()
    numbers = others / f"event-trigger-{port}"
    numbers.mkdir(parents=True)
    for one in (numbers, others):
        (one / "counter_1.db").write_bytes(b"of a run before, or of another program")
    settings = {
        "PORT": port,
        "PROMETHEUS_MULTIPROC_DIR": str(others),
        "EVENT_TRIGGER_METRICS_PORT": "0",
        "EVENT_TRIGGER_WEBHOOK_ALLOW": "127.0.0.0/8",
        "EVENT_TRIGGER_RETRY_AFTER": "0.05",
    }
    async with (
        receiving() as receiver,
        serving(folder, "--workers", "2", **with_database(database_url), **settings) as served,
        served.client(token_of(ADA)) as ada,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{metrics_port(served)}", timeout=60, verify=PLAIN_HTTP
        ) as open_port,
    ):
        receiver.answers = {f"/down/{number}": 500 for number in range(FAILING)}
        up, *down = [
            (await make_destination(ada, receiver.url + path))["id"]
            for path in ("/up", *receiver.answers)
        ]
        told, untold = (
            await make_api(ada, destinations=[up]),
            await make_api(ada, destinations=down),
        )
        hourly = {"interval": "PT1H", "recurring": True, "catch_up": "none"}
        missing = await make_scheduled(ada, hourly)

        await fire(served, await make_api(ada), FIRES - ARRIVING - 1)
        await fire(served, told, ARRIVING)
        await fire(served, untold, 1)
        assert [one for one in fired_by_each(numbers) if one > 0] != [FIRES]
        await set_back(database, missing["id"], timedelta(hours=3, minutes=1))

        def has_all(found: Scrape) -> bool:
            return (
                found.sum_of(EVENTS, type="api", is_test="false") == FIRES
                and found.sum_of(ATTEMPTS, outcome="delivered") == ARRIVING
                and found.sum_of(ATTEMPTS, outcome="retrying") == FAILING
                and found.sum_of(ATTEMPTS, outcome="exhausted") == FAILING
                and found.sum_of("event_trigger_deliveries_exhausted_total") == FAILING
                and found.sum_of("event_trigger_instants_unfired_total", reason="missed") == 3
            )

        def has_both(found: Scrape) -> bool:
            return has_all(found) and found.sum_of(LIMIT) == 2 * 512

        before = await eventually(lambda: scrape(open_port), has_both)
        killed = min(int(one.stem.rpartition("_")[2]) for one in numbers.glob("gauge_livesum_*"))
        psutil.Process(killed).send_signal(signal.SIGKILL)
        await eventually(
            lambda: asyncio.to_thread(lambda: [*numbers.glob(f"gauge_live*_{killed}.db")]),
            lambda found: not found,
        )
        after = await scrape(open_port)

        assert has_all(after)
        assert after.sum_of(LIMIT) <= 2 * 512  # the next worker may be there already
        lag = "event_trigger_event_loop_lag_seconds"
        assert before.types[lag] == "histogram"
        assert (numbers / f"counter_{killed}.db").exists()
        assert not (numbers / "counter_1.db").exists()
        assert (others / "counter_1.db").exists()
        assert (await ada.get("/metrics")).status_code == 403
        assert (await open_port.get("/events")).status_code == 404
        assert (await open_port.post("/metrics")).status_code == 405
        forged = await ada.get("/metrics", headers={"Host": str(open_port.base_url.netloc)})
        assert forged.status_code == 403
        # the gauges of the database are missing where its first read takes too long
        await eventually(lambda: scrape(open_port), lambda found: found.names >= before.names)
