"""Kills a replica every three seconds while heartbeats are pinged: no false state, none twice."""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx

from tests.faults.site import Site, site, until_on_time
from tests.support.databases import connect
from tests.support.heartbeats import make_heartbeat
from tests.support.waiting import eventually

REPLICAS, HEARTBEATS = 3, 60
LASTS = 45.0  # seconds
DETAILS = {"interval": "PT2S", "grace": "PT1S"}
PING_EVERY = (0.3, 1.5)  # seconds
REST_FOR = (4.0, 7.0)


@dataclass
class Pinged:
    """The pings of one heartbeat that were answered: when each was sent and answered."""

    path: str
    pings: list[tuple[datetime, datetime]] = field(default_factory=list)


async def test_heartbeats_tell_each_silence_once_whatever_is_killed() -> None:
    seed = random.randrange(10**6)
    async with site() as built:
        await built.start(REPLICAS)
        async with built.client() as client:
            beats = {
                made["id"]: Pinged(httpx.URL(made["hook_url"]).path)
                for made in [await make_heartbeat(client, DETAILS) for _ in range(HEARTBEATS)]
            }
        kills = await rage(built, beats, random.Random(seed))
        await until_on_time(built.url)
        await until_all_silent(built.url)
        events, ledger, missed = await read_records(built.url)
        await built.end()
        code, said = built.audit()

    pings = sum(len(one.pings) for one in beats.values())
    print(f"heartbeats, seed {seed}: {pings} pings, {kills} kills -9 of {REPLICAS} replicas")
    print(f"  {sum(map(len, events.values()))} changes told, {missed} unjudged\n  {said.strip()}")
    assert pings > HEARTBEATS
    assert (code, said.splitlines()[-1].endswith("It adds up.")) == (0, True)
    for trigger_id, beat in beats.items():
        told = events[trigger_id]
        assert [one["id"] for one in told] == ledger[trigger_id]
        assert all(one["state"] != other["state"] for one, other in pairwise(told))
        assert told[0]["state"] == told[-1]["state"] == "silent"
        assert [wrong for one in told if (wrong := contradicted(one, beat))] == []


def contradicted(event: Any, beat: Pinged) -> str | None:
    """Says why an event is false: a ping was answered that it does not know of, or none was sent.

    A silence knows the last ping before it. An alive one was made by a ping that was sent.
    """
    if event["state"] == "alive":
        at = event["triggered_at"]
        was_sent = any(sent <= at for sent, _ in beat.pings)
        return None if was_sent else f"alive at {at} without a ping"
    last = datetime.fromisoformat(event["last_ping_at"])
    for sent, answered in beat.pings:
        if sent > last and answered < event["triggered_at"]:
            return f"silent at {event['triggered_at']} after {last}, though pinged at {sent}"
    if (event["scheduled_for"] - last).total_seconds() < 3:  # after an outage it is later
        return f"the deadline {event['scheduled_for']} is not 3 s after {last}"
    return None


async def rage(built: Site, beats: dict[int, Pinged], dice: random.Random) -> int:
    """Pings all heartbeats, and kills and restarts a replica every three seconds."""
    until = asyncio.get_running_loop().time() + LASTS
    pinging = [
        asyncio.create_task(keep_pinging(built, one, random.Random(dice.random()), until=until))
        for one in beats.values()
    ]
    kills = 0
    while asyncio.get_running_loop().time() < until:
        await asyncio.sleep(3)
        victim = dice.randrange(REPLICAS)
        built.kill(victim)
        built.restart(victim)
        kills += 1
    await asyncio.gather(*pinging)
    return kills


async def keep_pinging(built: Site, beat: Pinged, dice: random.Random, *, until: float) -> None:
    """Pings at any replica, and now and then rests until the heartbeat is silent."""
    clock = asyncio.get_running_loop().time
    clients = [httpx.AsyncClient() for _ in range(REPLICAS)]
    try:
        while clock() < until:
            number = dice.randrange(REPLICAS)
            if "Docs" not in built.replicas[number].printed:  # it is starting
                await asyncio.sleep(0.1)
                continue
            sent = datetime.now(UTC)
            try:
                url = built.replicas[number].url + beat.path
                answer = await clients[number].get(url, timeout=10)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                beat.pings.append((sent, datetime.now(UTC)))
            rests = dice.random() < 0.1
            await asyncio.sleep(dice.uniform(*(REST_FOR if rests else PING_EVERY)))
    finally:
        for one in clients:
            await one.aclose()


async def until_all_silent(url: str) -> None:
    connection = await connect(url)
    try:
        await eventually(
            lambda: connection.fetchval(
                "SELECT count(*) FROM triggers WHERE silent_since IS NULL AND last_ping_at NOTNULL"
            ),
            lambda alive: alive == 0,
        )
    finally:
        await connection.close()


async def read_records(url: str) -> tuple[dict[int, list[Any]], dict[int, list[int]], int]:
    """Reads the events and the ids in the ledger, by trigger, and the number of void deadlines."""
    connection = await connect(url)
    events, ledger = defaultdict[int, list[Any]](list), defaultdict[int, list[int]](list)
    try:
        for row in await connection.fetch(
            "SELECT id, trigger_id, triggered_at, scheduled_for, payload ->> 'state' AS state,"
            " payload ->> 'last_ping_at' AS last_ping_at FROM events ORDER BY id"
        ):
            events[row["trigger_id"]].append(row)
        for row in await connection.fetch("SELECT * FROM heartbeat_changes ORDER BY id"):
            ledger[row["trigger_id"]].append(row["event_id"])
        missed = int(await connection.fetchval("SELECT count(*) FROM unfired_ranges"))
    finally:
        await connection.close()
    return events, ledger, missed
