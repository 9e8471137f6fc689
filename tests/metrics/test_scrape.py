"""`GET /metrics` counts what is done, for admins alone, and shows nobody's ids."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from event_trigger.api import built_api
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.metrics.database import DatabaseCollector, DatabaseGauges
from event_trigger.metrics.repository import DatabaseState, read_state
from event_trigger.telemetry import GAUGES_FAILED
from tests.support.databases import connect
from tests.support.destinations import fire, make_destination
from tests.support.downtime import set_back
from tests.support.hooks import make_hook
from tests.support.keys import holding, make_key
from tests.support.locks import until_somebody_waits
from tests.support.metrics import Scrape, parse, scrape
from tests.support.plans import plans_of, tables_scanned
from tests.support.planting import plant_triggers
from tests.support.problems import problem_of
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.secrets import secrets_in
from tests.support.services import ADA, PASSWORD, Service, make_settings
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

EVENTS, ATTEMPTS = "event_trigger_events_fired_total", "event_trigger_delivery_attempts_total"
LAG = "event_trigger_firing_lag_seconds"
UNFIRED = "event_trigger_instants_unfired_total"
REQUESTS = "http_server_request_duration_seconds_count"


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {**ALLOW_LOOPBACK, "metrics_per_destination": True, "retry_after": "600"}


@pytest.fixture
def now() -> list[float]:
    """Holds the time by which gauges know how long ago they were scraped, in seconds."""
    return [0.0]


@pytest.fixture
async def gauges(database_url: str, now: list[float]) -> AsyncIterator[DatabaseGauges]:
    engine = create_engine(database_url)
    settings = make_settings(database_url)
    yield DatabaseGauges(create_sessions(engine), settings, clock=lambda: now[0])
    await engine.dispose()


async def read_anew(gauges: DatabaseGauges, before: DatabaseState | None) -> DatabaseState:
    """Reads until there is another state: on a busy machine a reading may take too long."""
    while (found := await gauges.current()) is before or found is None:
        await gauges.read()
    return found


def grown(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    known = any(labels.items() <= one.items() for one in before.labels_of(name))
    return after.sum_of(name, **labels) - (before.sum_of(name, **labels) if known else 0)


async def test_events_and_missed_instants_are_counted_whichever_way_they_come(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, database: Any
) -> None:
    before = await scrape(admin)
    called = await make_api(ada)
    hourly = {"interval": "PT1H", "recurring": True}
    missing = await make_scheduled(ada, {**hourly, "catch_up": "none"})
    late = await make_scheduled(ada, {**hourly, "catch_up": "latest"})

    async def grown_to(name: str, **labels: str) -> float:
        return grown(before, await scrape(admin), name, **labels)

    events = [await fire(ada, called) for _ in range(3)]
    await fire(ada, called, "test")
    batch = [{"trigger": called["id"]}] * 4
    assert (await ada.post("/triggers/trigger-batch", json={"calls": batch})).status_code == 200
    assert (await ada.post(f"/events/{events[0]}/replay")).status_code == 201
    for one in (missing, late):
        await set_back(database, one["id"], timedelta(hours=3, minutes=1))

    await eventually(partial(grown_to, UNFIRED, reason="missed"), lambda count: count == 3)
    await eventually(partial(grown_to, UNFIRED, reason="coalesced"), lambda count: count == 2)
    await eventually(partial(grown_to, EVENTS, type="scheduled"), lambda count: count == 1)
    assert await grown_to(EVENTS, type="api", is_test="false") == 8
    assert await grown_to(EVENTS, type="api", is_test="true") == 1
    assert await grown_to(f"{LAG}_count", kind="api") == 5
    assert await grown_to(f"{LAG}_count", kind="scheduled") == 1
    assert await grown_to(f"{LAG}_sum", kind="scheduled") > 60


async def test_attempts_are_counted_by_their_outcome(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    before = await scrape(admin)

    async def attempts() -> float:
        return grown(before, await scrape(admin), ATTEMPTS)

    async with receiving() as receiver:
        receiver.answers = {"/down": 500, "/gone": 410}
        made = [
            await make_destination(ada, receiver.url + path) for path in ("/up", "/down", "/gone")
        ]
        for one in made:
            await fire(ada, await make_api(ada, destinations=[one["id"]]))
        await eventually(attempts, lambda count: count == 3)
    after = await scrape(admin)

    assert grown(before, after, ATTEMPTS, outcome="delivered") == 1
    assert grown(before, after, ATTEMPTS, outcome="retrying") == 1
    assert grown(before, after, ATTEMPTS, outcome="exhausted") == 1
    assert grown(before, after, "event_trigger_deliveries_exhausted_total") == 1
    assert grown(before, after, "event_trigger_delivery_attempt_duration_seconds_count") == 3
    up = {"destination": str(made[0]["id"]), "outcome": "delivered"}
    assert grown(before, after, "event_trigger_destination_delivery_attempts_total", **up) == 1


async def test_requests_are_counted_by_their_route_and_never_by_their_path(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    before = await scrape(admin)
    trigger = await make_api(ada)
    hook = await make_hook(ada, verify="github")

    await fire(ada, trigger)
    await ada.get(f"/triggers/{trigger['id']}")
    await ada.get(f"/triggers/{trigger['id']}/explain")
    await anonymous.post(httpx.URL(hook.url).path)
    await anonymous.get("/wp-login/7")
    await anonymous.request("BREW", "/")
    after = await scrape(admin)

    for method, route, status in (
        ("POST", "/triggers/{trigger_id}/trigger", "200"),
        ("GET", "/triggers/{trigger_id}", "200"),
        ("GET", "/triggers/{trigger_id}/explain", "422"),
        ("POST", "/hooks/{token}", "401"),
        ("GET", "none", "404"),
        ("_OTHER", "/", "405"),
    ):
        labels = {"method": method, "route": route, "status": status}
        assert grown(before, after, REQUESTS, **labels) == 1, labels
    refusals = "event_trigger_hook_refusals_total"
    assert grown(before, after, refusals, reason="missing_header") == 1


async def test_a_whole_scrape_is_what_prometheus_reads_line_by_line(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await fire(ada, await make_api(ada))
    text = (await admin.get("/metrics")).text

    families = [*text_string_to_metric_families(text)]

    read = parse(text)
    assert read.samples == [sample for family in families for sample in family.samples]
    assert read.types == {family.name: family.type for family in families}
    assert len(read.samples) > 100


async def test_labels_hold_no_ids_and_no_secrets(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada, key="named-so")
    await ada.post("/triggers/by-key/named-so/trigger")
    await ada.get(f"/triggers/{trigger['id']}/versions")
    for password in ("wrong", PASSWORD):
        form = {"username": "bob@example.com", "password": password}
        await anonymous.post("/auth/token", data=form)
    found = await scrape(admin)
    paths = [getattr(one, "path", "") for one in built_api().routes]
    routes = {re.sub(r":\w+}", "}", one) for one in paths} | {"none"}

    free = {"le", "status", "sqlstate", "destination"}
    free |= {"version", "python", "postgres", "tzdata", "revision"}
    values = {
        value for one in found.samples for name, value in one.labels.items() if name not in free
    }
    assert {one["route"] for one in found.labels_of(REQUESTS)} <= routes
    assert [value for value in values if re.fullmatch(r"\d+", value)] == []
    assert not secrets_in(str(values))
    assert "@" not in str(values)
    assert found.sum_of("event_trigger_sign_ins_total", outcome="wrong") >= 1


async def test_only_admins_read_metrics_and_a_key_of_theirs_may_hold_nothing_else(
    service: Service, ada: httpx.AsyncClient, admin: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    key = holding(service, await make_key(admin, "metrics:read"))
    limited = {"name": "k", "scopes": ["metrics:read"], "trigger_ids": []}

    assert problem_of(await anonymous.get("/metrics"), 401)
    assert "metrics:read" in problem_of(await ada.get("/metrics"), 403)["detail"]
    assert (await key.get("/metrics")).headers["content-type"].startswith("text/plain; version=0")
    assert (await key.head("/metrics")).status_code == 200
    assert problem_of(await key.get("/triggers"), 403)
    wanted = {"name": "k", "scopes": ["metrics:read"]}
    assert (await ada.post("/auth/keys", json=wanted)).status_code in {403, 422}
    assert (await admin.post("/auth/keys", json=limited)).status_code == 422


async def test_gauges_keep_their_values_while_the_database_does_not_answer(
    gauges: DatabaseGauges, database: Any
) -> None:
    first = await read_anew(gauges, None)
    failures = GAUGES_FAILED._value.get()

    async with database.transaction():
        await database.execute("LOCK TABLE project_counts IN ACCESS EXCLUSIVE MODE")
        await gauges.read()
        kept = await gauges.current()
    newer = await read_anew(gauges, first)

    assert GAUGES_FAILED._value.get() > failures
    assert kept is first
    assert len([*DatabaseCollector(kept).collect()]) > 10
    assert newer.at > first.at


async def test_only_the_first_scrape_after_an_hour_waits_for_the_database(
    gauges: DatabaseGauges, now: list[float], database: Any, database_url: str
) -> None:
    first, failures = await read_anew(gauges, None), GAUGES_FAILED._value.get()
    holder = await connect(database_url)

    async with holder.transaction():
        await holder.execute("LOCK TABLE project_counts IN ACCESS EXCLUSIVE MODE")
        now[0] += 3600.0
        assert await gauges.current() is first
        assert GAUGES_FAILED._value.get() == failures
        now[0] += 3601.0
        scraping = asyncio.create_task(gauges.current())
        await until_somebody_waits(database)
        assert not scraping.done()
    await holder.close()

    assert await scraping is not None


async def test_the_gauges_of_the_database_are_read_without_a_scan(
    database_url: str, database: Any
) -> None:
    await plant_triggers(database, 2000, owner_id=ADA, due_at=datetime.now(UTC))
    await database.execute("ANALYZE")
    engine, settings = create_engine(database_url), make_settings(database_url)

    plans = await plans_of(engine, lambda one: read_state(one, settings, datetime.now(UTC)))
    await engine.dispose()

    scanned = {table for plan in plans for table in tables_scanned(plan)}
    ours = {table for table in scanned if not table.startswith(("pg_", "generate_series"))}
    assert {"project_counts", "event_partitions"} <= ours
    assert ours.isdisjoint({"events", "deliveries", "destinations"})
    due = [plan for plan in plans if "triggers" in plan]
    assert len(due) == 1
    assert "using ix_triggers_due on triggers" in due[0]
