"""New events are announced to streams and to workers, so that these need not poll."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from event_trigger.db.notify import DELIVERIES_CHANGED, EVENTS_STORED
from tests.support.destinations import fire, make_destination
from tests.support.services import ADA
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

ONCE = {"interval": "PT1S"}


@pytest.fixture
async def heard(database: Any) -> AsyncIterator[list[str]]:
    """Gives the owners whose events have been announced."""
    said: list[str] = []
    await database.add_listener(EVENTS_STORED, lambda *one: said.append(one[-1]))
    yield said
    await database.reset()


async def until_announced(heard: list[str]) -> None:
    async def listen() -> list[str]:
        return heard

    await eventually(listen, lambda said: said == [str(ADA)])


async def test_calls_are_announced(ada: httpx.AsyncClient, heard: list[str]) -> None:
    await fire(ada, await make_api(ada))

    await until_announced(heard)


async def test_calls_with_deliveries_are_announced_to_streams_and_workers(
    ada: httpx.AsyncClient, database: Any, heard: list[str]
) -> None:
    made = await make_destination(ada, "https://nowhere.invalid")
    trigger_id = await make_api(ada, destinations=[made["id"]])
    await database.add_listener(DELIVERIES_CHANGED, lambda *_: heard.append("deliveries"))

    await fire(ada, trigger_id)

    async def listen() -> set[str]:
        return {*heard}

    await eventually(listen, lambda said: said == {str(ADA), "deliveries"})


async def test_planned_events_are_announced(ada: httpx.AsyncClient, heard: list[str]) -> None:
    await make_scheduled(ada, ONCE)

    await until_announced(heard)


async def test_planned_events_with_deliveries_are_announced(
    ada: httpx.AsyncClient, heard: list[str]
) -> None:
    made = await make_destination(ada, "https://nowhere.invalid")
    await make_scheduled(ada, ONCE, destinations=[made["id"]])

    await until_announced(heard)
