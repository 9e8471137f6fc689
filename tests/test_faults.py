"""Processes are killed in the middle of their work: answered calls stay, due triggers fire."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.locks import caught_while_firing
from tests.support.processes import Served, open_folder, serving, until_over, with_database
from tests.support.reading import read_all
from tests.support.services import ADA, running_service, token_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("embedded servers")

CALLS = 200


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


async def fire_and_kill(served: Served, token: str) -> dict[str, int]:
    """Fires many times at once, kills the service during that, and returns answered calls."""
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
