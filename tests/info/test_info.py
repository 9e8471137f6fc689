"""`GET /info` says what the installation is, and how much of its limits a project uses."""

from datetime import timedelta
from typing import Any

import httpx

from tests.support.destinations import make_destination
from tests.support.event_bytes import measure_events
from tests.support.keys import holding, make_key
from tests.support.planting import plant_large
from tests.support.receiver import ALLOW_LOOPBACK
from tests.support.services import ADA, ADMIN, BOB, SECRET, Service, running_service
from tests.support.triggers import make_api
from tests.support.waiting import eventually


async def info(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/info")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_it_describes_the_installation(database_url: str, database: Any) -> None:
    settings = {"keep_for": timedelta(hours=24), "open_registration": True, "max_triggers": 7}
    async with running_service(database_url, **settings) as service:
        answer = await service.client(ADA).get("/info")

    found = answer.json()
    installation = await database.fetchval("SELECT name FROM installation")
    assert found["version"] == "0.1.0"
    assert found["installation"] == installation
    assert found["zone_rules"]
    assert found["retention"] == {"active_for": "PT2H", "keep_for": "P1D"}
    assert found["features"] == {
        "open_registration": True,
        "mail": False,
        "read_replica": False,
    }
    assert {name: one["limit"] for name, one in found["limits"].items()} == {
        "triggers": 7,
        "destinations": 1000,
        "calendars": 100,
        "calls_per_minute": 0,
        "mails_per_minute": 60,
        "backlog_bytes": 1024**3,
        "event_bytes": 10 * 1024**3,
    }
    assert SECRET not in answer.text


async def test_it_counts_what_the_project_uses(database_url: str, database: Any) -> None:
    settings = {"max_calls_per_minute": 50, **ALLOW_LOOPBACK}
    async with running_service(database_url, **settings) as service:
        ada = service.client(ADA)
        made = await make_destination(ada, "http://127.0.0.1:1/")
        trigger = await make_api(ada)
        await make_api(ada)
        for _ in range(3):
            await ada.post(f"/triggers/{trigger['id']}/trigger")
        await ada.delete(f"/destinations/{made['id']}")
        await make_destination(ada, "http://127.0.0.1:1/")
        await plant_large(database, 1)
        found, others = await info(ada), await info(service.client(BOB))

        async def used_limits() -> dict[str, int]:
            await measure_events(database_url)
            return {name: one["used"] for name, one in (await info(ada))["limits"].items()}

        used = await eventually(used_limits, lambda seen: seen["event_bytes"] > 0)

    assert found["project_id"] == ADA
    assert used["event_bytes"] > 10_000
    assert (used["triggers"], used["destinations"], used["calls_per_minute"]) == (2, 1, 3)
    assert {one["used"] for one in others["limits"].values()} == {0}


async def test_any_credential_may_ask(
    service: Service, ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)
    limited = await make_key(ada, "events:read", trigger_ids=[trigger["id"]])

    found = await info(holding(service, limited))

    assert found["project_id"] == ADA
    assert (await anonymous.get("/info")).status_code == 401


async def test_a_project_that_one_cannot_enter_has_no_use_to_show(
    service: Service, bob: httpx.AsyncClient, database: Any
) -> None:
    await make_api(bob)

    found = [await info(service.client(ADA, project=one)) for one in (BOB, 999, "*", "nonsense")]

    for one in found:
        assert one["project_id"] is None
        assert {each["used"] for each in one["limits"].values()} == {None}


async def test_the_named_project_is_shown_to_who_may_enter_it(
    service: Service, bob: httpx.AsyncClient
) -> None:
    await make_api(bob)

    found = await info(service.client(ADMIN, project=BOB))

    assert found["project_id"] == BOB
    assert found["limits"]["triggers"]["used"] == 1
