"""Times actions on 10,000 triggers, while another trigger fires every second."""

import asyncio
import time
from typing import Any, NamedTuple

import httpx

from bench.gauges import connected
from bench.report import Rounds, at_most, table
from bench.served import default_site
from tests.support.planting import plant_triggers
from tests.support.processes import SERVE
from tests.support.triggers import make_scheduled

FAR = {"interval": "P300D", "recurring": True}
ACTIONS: list[dict[str, Any]] = [
    {"action": "tag", "tags": ["a", "b"]},
    {"action": "untag", "tags": ["b"]},
    {"action": "pause"},
    {"action": "resume"},
    {"action": "fire"},
    {"action": "set_destinations", "destinations": []},
    {"action": "delete"},
]


_LATEST = """
    SELECT coalesce(max(extract(epoch FROM triggered_at - scheduled_for)) * 1000, 0)::float8
    FROM events WHERE type = 'scheduled' AND triggered_at > now() - make_interval(secs => $1)
"""


class Acted(NamedTuple):
    """Seconds that an action took, and the lateness of the latest firing beside it (ms)."""

    took: float
    late: float


async def report_actions(*, count: int) -> list[str]:
    """Times each action on `count` scheduled triggers."""
    rounds = Rounds[Acted]()
    async with default_site() as built, connected(built) as database:
        await plant_triggers(database, count - 1, details=FAR)  # and one: a project's limit
        await database.execute(
            "UPDATE triggers SET next_fire_at = now() + interval '1 year', settled_until = now()"
        )
        await database.execute("VACUUM ANALYZE triggers")
        ids = [row["id"] for row in await database.fetch("SELECT id FROM triggers")]
        await built.start(1, *SERVE)
        async with built.client() as client:
            client.timeout = httpx.Timeout(60)
            await make_scheduled(client, {"interval": "PT1S", "recurring": True})
            for body in ACTIONS:
                await asyncio.sleep(2)
                await rounds.take(body["action"], _act(client, database, {**body, "ids": ids}))
    found = rounds.medians()
    rows = {name: (f"{one.took:.2f}", f"{one.late:.1f}") for name, one in found.items()}
    slowest = max((one.took for one in found.values()), default=None)
    latest = max((one.late for one in found.values()), default=None)
    return [
        *table(f"an action on {count:,} triggers", ("s", "late ms"), rows, rounds.failed),
        at_most("slowest action", slowest, 5, " s"),
        at_most("latest firing beside one", latest, 250, " ms"),
    ]


async def _act(client: httpx.AsyncClient, database: Any, body: dict[str, Any]) -> Acted:
    began = time.perf_counter()
    answer = await client.post("/triggers/actions", json=body)
    took = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    assert answer.json()["changed"] in {len(body["ids"]), 0}, answer.text
    return Acted(took, await database.fetchval(_LATEST, took + 1))
