"""Processes are killed in the middle of their work: what was answered stays, what was due fires."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.locks import caught_while_firing
from tests.support.processes import Served, open_folder, serving, until_over, with_database
from tests.support.reading import read_all
from tests.support.services import ADA, running_service, token_of
from tests.support.waiting import eventually

CALLS = 200


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


async def fire_and_kill(served: Served, token: str) -> dict[str, int]:
    """Fires many times at once, kills the service on the way, and gives what was answered."""
    answered: dict[str, int] = {}
    enough = asyncio.Event()
    async with served.client(token) as client:
        trigger = (await client.post("/triggers", json={"type": "api"})).json()["id"]

        async def call(number: int) -> None:
            try:
                answer = await client.post(f"/triggers/{trigger}/trigger", json={"n": number})
            except httpx.TransportError:
                return
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                assert answer.json() == {"message": "Event triggered"}
                answered[answer.headers["Location"]] = number
            if len(answered) >= CALLS // 10:
                enough.set()

        async def kill() -> None:
            await enough.wait()
            await served.end(signal.SIGKILL)

        await asyncio.gather(kill(), *(call(number) for number in range(CALLS)))
    return answered


async def log_of(served: Served, token: str) -> list[dict[str, Any]]:
    async with served.client(token) as client:
        return await read_all(client, "/events")


def assert_kept(answered: dict[str, int], events: list[dict[str, Any]]) -> None:
    kept = {f"/events/{one['id']}": one["payload"]["n"] for one in events}
    assert answered.items() <= kept.items()
    assert Counter(kept.values()).most_common(1)[0][1] == 1


async def test_a_killed_service_keeps_every_call_it_answered_and_leaves_no_postgres(
    folder: Path,
) -> None:
    async with serving(folder) as first:
        token, family = await first.sign_in(), first.family()
        answered = await fire_and_kill(first, token)
        await until_over(family)

    async with serving(folder) as second:
        events = await log_of(second, token)

    assert len(family) > 3  # the service and its PostgreSQL
    assert CALLS // 10 <= len(answered) < CALLS
    assert_kept(answered, events)


async def test_a_killed_replica_keeps_every_call_it_answered(
    folder: Path, database_url: str
) -> None:
    token = token_of(ADA)
    async with serving(folder, **with_database(database_url)) as first:
        answered = await fire_and_kill(first, token)

    async with running_service(database_url) as second:
        events = await read_all(second.client(ADA), "/events")

    assert CALLS // 10 <= len(answered) < CALLS
    assert_kept(answered, events)


async def test_when_a_replica_is_killed_the_others_fire_each_instant_once(
    folder: Path, database_url: str
) -> None:
    details = {"interval": "PT1S", "recurring": True, "max_fires": 5}
    async with AsyncExitStack() as stack:
        replicas = await asyncio.gather(
            *(
                stack.enter_async_context(serving(folder, **with_database(database_url)))
                for _ in range(3)
            )
        )
        clients = [await stack.enter_async_context(one.client(token_of(ADA))) for one in replicas]
        bodies = ({"interval": "PT3S"}, details)
        once, every = [
            (await clients[0].post("/triggers", json={"type": "scheduled", "details": one})).json()
            for one in bodies
        ]
        await eventually(lambda: read_all(clients[1], "/events"), lambda found: found != [])
        await replicas[0].end(signal.SIGKILL)
        await eventually(
            lambda: read_all(clients[1], "/triggers"),
            lambda triggers: {one["status"] for one in triggers} == {"completed"},
        )
        events = await read_all(clients[2], "/events")

    expected = {once["id"]: {3}, every["id"]: {1, 2, 3, 4, 5}}
    starts = {one["id"]: datetime.fromisoformat(one["created_at"]) for one in (once, every)}
    fired = [(one["trigger_id"], datetime.fromisoformat(one["scheduled_for"])) for one in events]
    assert sorted(fired) == sorted(
        (number, starts[number] + timedelta(seconds=seconds))
        for number, instants in expected.items()
        for seconds in instants
    )


async def test_a_replica_killed_with_triggers_claimed_leaves_them_due(
    folder: Path, database_url: str
) -> None:
    token = token_of(ADA)
    body = {"type": "scheduled", "details": {"interval": "PT2S"}}
    async with serving(folder, **with_database(database_url)) as first:
        async with first.client(token) as client:
            trigger = (await client.post("/triggers", json=body)).json()
        async with caught_while_firing(database_url):
            await first.end(signal.SIGKILL)

    async with running_service(database_url) as second:
        ada = second.client(ADA)
        events = await eventually(lambda: read_all(ada, "/events"), lambda found: found != [])

    assert [one["trigger_id"] for one in events] == [trigger["id"]]
    assert [one["scheduled_for"] for one in events] == [trigger["next_fire_at"]]


async def test_a_frozen_replica_loses_what_it_claimed_and_goes_on_when_thawed(
    folder: Path, database_url: str
) -> None:
    token = token_of(ADA)
    body = {"type": "scheduled", "details": {"interval": "PT1S", "recurring": True}}
    async with serving(folder, **with_database(database_url)) as frozen:
        async with frozen.client(token) as client:
            await client.post("/triggers", json=body)
        async with caught_while_firing(database_url):
            frozen.process.send_signal(signal.SIGSTOP)
        try:
            async with running_service(database_url) as other:
                ada = other.client(ADA)
                before = await read_all(ada, "/events")
                meanwhile = await eventually(
                    lambda: read_all(ada, "/events"),
                    lambda found: len(found) > len(before),
                )
        finally:
            frozen.process.send_signal(signal.SIGCONT)
        async with frozen.client(token) as client:
            events = await eventually(
                lambda: read_all(client, "/events"), lambda found: len(found) > len(meanwhile)
            )

    instants = [one["scheduled_for"] for one in events]
    assert len(set(instants)) == len(instants)
