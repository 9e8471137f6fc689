"""Times actions on 10,000 triggers and sets of 500, while another trigger fires every second."""

import asyncio
import time
from typing import Any, NamedTuple

import httpx

from bench.gauges import connected
from bench.report import Rounds, at_most, table
from bench.served import default_site
from tests.support.planting import plant_triggers
from tests.support.processes import SERVE
from tests.support.sets import is_empty, put_set
from tests.support.triggers import make_scheduled

FAR = {"interval": "P300D", "recurring": True}
IN_A_SET = 500  # triggers
SET = {
    "triggers": {
        f"nightly-{number}": {
            "type": "scheduled",
            "details": {"cron": f"{number % 60} 2 * * *", "timezone": "Europe/Berlin"},
            "payload": {"report": number},
        }
        for number in range(IN_A_SET)
    }
}
PUTS = {"a new set": IN_A_SET, "the same again": 0}  # and how many triggers change
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
    """Seconds that a call took, and the lateness of the latest firing beside it (ms)."""

    took: float
    late: float


async def report_actions(*, count: int) -> list[str]:
    """Times each action on `count` scheduled triggers, and a set that is put twice."""
    rounds, sets = Rounds[Acted](), Rounds[Acted]()
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
            for name, changes in PUTS.items():
                await asyncio.sleep(2)
                await sets.take(name, _put(client, database, changes))
    found = rounds.medians()
    slowest = max((one.took for one in found.values()), default=None)
    latest = max((one.late for one in found.values()), default=None)
    return [
        *_shown(f"an action on {count:,} triggers", rounds),
        at_most("slowest action", slowest, 5, " s"),
        at_most("latest firing beside one", latest, 250, " ms"),
        "",
        *_shown(f"PUT of {IN_A_SET:,} triggers in a set", sets),
    ]


def _shown(title: str, rounds: Rounds[Acted]) -> list[str]:
    found = rounds.medians()
    rows = {name: (f"{one.took:.2f}", f"{one.late:.1f}") for name, one in found.items()}
    return table(title, ("s", "late ms"), rows, rounds.failed)


async def _act(client: httpx.AsyncClient, database: Any, body: dict[str, Any]) -> Acted:
    began = time.perf_counter()
    answer = await client.post("/triggers/actions", json=body)
    took = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    assert answer.json()["changed"] in {len(body["ids"]), 0}, answer.text
    return Acted(took, await database.fetchval(_LATEST, took + 1))


async def _put(client: httpx.AsyncClient, database: Any, changes: int) -> Acted:
    began = time.perf_counter()
    plan = await put_set(client, "nightly", SET)
    took = time.perf_counter() - began
    assert len(plan["create"]) == changes, plan["unchanged"]
    assert is_empty(plan) is not bool(changes), plan
    return Acted(took, await database.fetchval(_LATEST, took + 1))
