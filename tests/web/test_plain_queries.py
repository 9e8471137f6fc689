"""Queries of plain GETs are remembered, but only short ones, and none of strangers."""

import gc
import tracemalloc

import httpx

from event_trigger.events.schemas import EventListQuery
from event_trigger.triggers.schemas.requests import TriggerListQuery
from event_trigger.web.plain_queries import PlainQuery

MANY = 300


def remembered(key: str) -> int:
    gc.collect()
    found = (one for one in gc.get_objects() if isinstance(one, TriggerListQuery))
    return sum(one.key == key for one in found)


async def test_queries_are_remembered_only_of_callers_who_are_known(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    refused = await anonymous.get("/triggers?key=of-a-stranger")
    listed = await ada.get("/triggers?key=of-ada")

    assert (refused.status_code, listed.status_code) == (401, 200)
    assert (remembered("of-a-stranger"), remembered("of-ada")) == (0, 1)


def test_long_queries_and_those_with_escapes_are_not_remembered() -> None:
    query = PlainQuery(EventListQuery)
    long = b"&".join([b"trigger_id=1000000"] * 3_000)
    tracemalloc.start()
    try:
        for number in range(MANY):
            query.read(b"x%d&" % number + b"%" * 60_000)
            query.read(long + b"%d" % number)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size < 2 * 1024 * 1024
