"""A client that is killed while it fires loses no event and makes none twice."""

import random
from collections import Counter
from pathlib import Path

from event_trigger_client import AsyncClient, OnCall
from tests.support.killing import Orders, fire_and_be_killed
from tests.support.losing import losing_proxy
from tests.support.services import ADA, token_of

COUNT = 10  # tests/faults does it with 1,000


async def test_orders_of_a_killed_client_are_one_event_each(
    url: str, events: AsyncClient, tmp_path: Path
) -> None:
    await events.triggers.create(OnCall(), key="order")
    async with losing_proxy(url) as proxy:
        orders = Orders(tmp_path / "done", COUNT, most_between_kills=4)
        killed = await fire_and_be_killed(proxy, token_of(ADA), orders, random.Random(44))

    seen = Counter([(one["payload"] or {})["n"] async for one in events.events.list()])
    assert seen == Counter(range(COUNT))
    assert killed.kills > 0  # how many more depends on how quick the client is
    assert killed.losses > 0
