"""Compares batches of calls with single calls, and times actions on 10,000 triggers."""

import asyncio
import json
import statistics
import time
from collections.abc import Iterable
from typing import Any

import httpx

from bench.fire import BODY, TRIGGERS, requests_to_ours
from bench.limits import at_least, at_most
from bench.load import load, post
from tests.faults.site import site
from tests.support.databases import connect
from tests.support.planting import plant_triggers
from tests.support.processes import SERVE

SIZES = (200, 1_000)
CALLERS = 2  # of batches, which are as large as ten callers' or more
SINGLE_CALLERS = 32
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


def batch_of(ids: Iterable[int], size: int) -> bytes:
    named = [*ids]
    calls = ",".join(
        f'{{"trigger":{named[number % len(named)]},"payload":{BODY.decode()}}}'
        for number in range(size)
    )
    return f'{{"calls":[{calls}]}}'.encode()


async def report_batches(*, count: int, rounds: int) -> list[str]:
    """Interleaves `count` single calls with as many in batches of each size."""
    async with site() as built:
        await built.start(1, *SERVE)
        served = built.replicas[0]
        single = await requests_to_ours(built)
        async with built.client() as client:
            token = client.headers["Authorization"].removeprefix("Bearer ")
            listed = (await client.get("/triggers", params={"limit": TRIGGERS})).json()
        ids = [one["id"] for one in listed]
        url = f"{served.url}/triggers/trigger-batch"
        batches = {size: [post(url, token, batch_of(ids, size))] for size in SIZES}
        found: dict[int, list[float]] = {one: [] for one in (1, *SIZES)}
        for _ in range(rounds + 1):
            one = await load(served.url, single, callers=SINGLE_CALLERS, count=count)
            found[1].append(one.per_second)
            for size in SIZES:
                many = await load(
                    served.url, batches[size], callers=CALLERS, count=max(4, count // size)
                )
                found[size].append(many.per_second * size)
        rates = {size: statistics.median(each[1:]) for size, each in found.items()}  # after warm-up
    lines = ["calls in batches, events a second:"]
    lines += [f"  {size:>5} in a request {rate:>10,.0f}" for size, rate in rates.items()]
    for size in SIZES:
        lines.append(at_least(f"batches of {size}, beside calls", rates[size] / rates[1], 4, "×"))
    return lines


async def report_actions(*, count: int) -> list[str]:
    """Times each action on `count` scheduled triggers, while a trigger fires every second."""
    lines = [f"an action on {count:,} triggers:", f"  {'action':<18}{'s':>8}{'late ms':>10}"]
    slowest = latest = 0.0
    async with site() as built:
        connection = await connect(built.url)
        await plant_triggers(connection, count - 1, details=FAR)  # and one: a project's limit
        await connection.execute(
            "UPDATE triggers SET next_fire_at = now() + interval '1 year', settled_until = now()"
        )
        await connection.execute("VACUUM ANALYZE triggers")
        await built.start(1, *SERVE)
        async with built.client() as client:
            client.timeout = httpx.Timeout(60)
            await client.post(
                "/triggers",
                json={
                    "type": "scheduled",
                    "details": {"interval": "PT1S", "recurring": True},
                    "tags": ["beat"],
                },
            )
            ids = [
                one["id"]
                for one in await connection.fetch(
                    "SELECT id FROM triggers WHERE NOT 'beat' = ANY (tags)"
                )
            ]
            for body in ACTIONS:
                await asyncio.sleep(2)
                took, answer = await _act(client, {**body, "ids": ids})
                assert answer["changed"] in {len(ids), 0}, answer
                late = await connection.fetchval(_LATEST, took + 1)
                lines.append(f"  {body['action']:<18}{took:>8.2f}{late:>10.1f}")
                slowest, latest = max(slowest, took), max(latest, late)
        await connection.close()
    lines.append(at_most("slowest action", slowest, 5, " s"))
    lines.append(at_most("latest firing beside one", latest, 250, " ms"))
    return lines


_LATEST = """
    SELECT coalesce(max(extract(epoch FROM triggered_at - scheduled_for)) * 1000, 0)::float8
    FROM events WHERE type = 'scheduled' AND triggered_at > now() - make_interval(secs => $1)
"""


async def _act(client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    answer = await client.post("/triggers/actions", json=body)
    took = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    return took, json.loads(answer.text)
