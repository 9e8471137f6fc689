"""Lists of deliveries follow their filters, and bounds of the time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.support.problems import places_of
from tests.support.reading import read_all
from tests.support.services import ADA, BOB

NOW = datetime.now(UTC).replace(microsecond=0)
# a delivery a minute up to now, stored up to two minutes later than their events
FILL = """
    INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
        triggered_at, is_test, payload_size, status, error, next_attempt_at)
    SELECT $1::bigint % 64, $1, 1, 1, n, 'api', $2::timestamptz - (200 - n) * interval '1 min'
        - n % 3 * interval '1 min', false, 0, status, CASE status WHEN 'exhausted' THEN 'timeout'
        WHEN 'retrying' THEN 'rejected' END, NULL
    FROM generate_series(1, 200) AS n,
        LATERAL (SELECT (ARRAY['delivered', 'exhausted', 'retrying', 'pending'])[1 + n % 4]
        ) AS made (status)
"""


async def listed(client: httpx.AsyncClient, **filters: Any) -> list[dict[str, Any]]:
    return await read_all(client, "/deliveries", **{"limit": 70, **filters})


async def test_filters_select_and_combine(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient, database: Any
) -> None:
    for owner_id in (ADA, BOB):
        await database.execute(FILL, owner_id, NOW)
    columns = "id, owner_id, event_id, status, error, triggered_at"
    stored = await database.fetch(f"SELECT {columns} FROM deliveries ORDER BY id DESC")
    hour_ago, long_ago = NOW - timedelta(minutes=60), NOW - timedelta(minutes=100)
    cases: dict[str, tuple[dict[str, Any], Any]] = {
        "several statuses": (
            {"status": ["retrying", "exhausted"]},
            lambda one: one["status"] in {"retrying", "exhausted"},
        ),
        "error": ({"error": "timeout"}, lambda one: one["error"] == "timeout"),
        "no such error": ({"error": "timeout", "status": "delivered"}, lambda _: False),
        "since": ({"since": hour_ago.isoformat()}, lambda one: one["triggered_at"] >= hour_ago),
        "until": ({"until": hour_ago.isoformat()}, lambda one: one["triggered_at"] < hour_ago),
        "between": (
            {"since": long_ago.isoformat(), "until": hour_ago.isoformat(), "status": "exhausted"},
            lambda one: long_ago <= one["triggered_at"] < hour_ago and one["status"] == "exhausted",
        ),
    }

    for name, (query, is_wanted) in cases.items():
        for client, owners in ((ada, {ADA}), (overseer, {ADA, BOB})):
            found = [one["id"] for one in await listed(client, **query)]

            wanted = [one for one in stored if one["owner_id"] in owners and is_wanted(one)]
            assert found == [one["id"] for one in wanted], name


async def test_wrong_filters_are_named(ada: httpx.AsyncClient) -> None:
    for name, value in (
        ("status", ["pending", "done"]),
        ("error", "late"),
        ("since", "yesterday"),
        ("until", "1"),
    ):
        answer = await ada.get("/deliveries", params={name: value})

        assert places_of(answer) == [name]


async def test_without_deliveries_bounds_of_the_time_select_none(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient
) -> None:
    for client in (ada, overseer):
        assert await listed(client, since=NOW.isoformat(), until=NOW.isoformat()) == []
