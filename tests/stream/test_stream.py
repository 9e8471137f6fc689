"""A stream has each event once, in the order of commits, also if a notification is lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from event_trigger.stream.subscriptions import MOST_STREAMS_PER_USER
from tests.support.databases import connect
from tests.support.destinations import fire
from tests.support.outages import cable_to
from tests.support.problems import places_of, problem_of
from tests.support.processes import open_folder, serving, with_database
from tests.support.services import ADA, ADMIN, BOB, Service, running_service, token_of
from tests.support.streams import following, listening
from tests.support.triggers import make_api, make_scheduled

_INSERT = """
    INSERT INTO events (shard, owner_id, trigger_id, type, is_test)
    VALUES ($1::bigint % 64, $1, 1, 'api', false) RETURNING id
"""


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with listening(service) as one:
        yield one


async def test_events_come_as_they_are_read_by_their_id(url: str, ada: httpx.AsyncClient) -> None:
    called = await make_api(ada, name="Deploy", payload={"line": "a\nb\r\n\u2028"})
    async with following(url, ADA) as stream:
        first = await fire(ada, called)
        await fire(ada, called, "test")
        await make_scheduled(ada, {"interval": "PT1S"})

        events = await stream.read(3)

    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert stream.ids == [one["id"] for one in events]
    assert stream.ids[0] == first
    assert [one["type"] for one in events] == ["api", "api", "scheduled"]
    assert [(await ada.get(f"/events/{one}")).json() for one in stream.ids] == events


async def test_a_stream_shows_the_selected_events_of_its_owner(url: str, service: Service) -> None:
    ada, bob = service.client(ADA), service.client(BOB)
    hers, other, his = await make_api(ada), await make_api(ada), await make_api(bob)
    async with (
        following(url, ADA, trigger_id=hers["id"], is_test=False) as narrow,
        following(url, ADA) as own,
        following(url, ADMIN, project="*") as everybody,
    ):
        a, b = await fire(bob, his), await fire(ada, other)
        c, d = await fire(ada, hers, "test"), await fire(ada, hers)
        await narrow.read(1)
        await own.read(3)
        await everybody.read(4)

    assert narrow.ids == [d]
    assert own.ids == [b, c, d]
    assert everybody.ids == [a, b, c, d]


async def test_a_reader_goes_on_where_it_was_at_any_replica(url: str, service: Service) -> None:
    ada = service.client(ADA)
    trigger = await make_api(ada)
    async with following(url, ADA) as stream:
        before = [await fire(ada, trigger) for _ in range(3)]
        await stream.read(2)
    missed = [await fire(ada, trigger) for _ in range(3)]

    async with (
        running_service(service.database_url) as other,
        listening(other) as elsewhere,
        following(elsewhere, ADA, after=before[1]) as again,
    ):
        later = await fire(ada, trigger)
        await again.read(5)

    assert again.ids == [before[2], *missed, later]


async def test_after_an_id_that_is_gone_all_kept_events_come(
    url: str, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)
    kept = [await fire(ada, trigger) for _ in range(3)]

    async with following(url, ADA, after=10**9) as stream:
        await stream.read(3)

    assert stream.ids == kept


async def test_an_event_that_commits_late_is_neither_missed_nor_out_of_order(
    url: str, database: Any, service: Service
) -> None:
    slow = await connect(service.database_url)
    async with following(url, ADA) as stream:
        holding = slow.transaction()
        await holding.start()
        early_id = await slow.fetchval(_INSERT, ADA)
        late_id = await database.fetchval(_INSERT, ADA)  # begun later, committed at once
        with pytest.raises(TimeoutError):
            await stream.read(1, within=1.5)
        await holding.commit()
        await slow.close()
    async with following(url, ADA, after=0) as again:
        await again.read(2)

    assert early_id < late_id
    assert again.ids == [early_id, late_id]


async def test_a_lost_notification_loses_nothing(url: str, database: Any) -> None:
    async with following(url, ADA) as stream:
        stored = [await database.fetchval(_INSERT, ADA) for _ in range(3)]
        await stream.read(3)

    assert stream.ids == stored


async def test_many_events_at_once_all_come(url: str, database: Any, service: Service) -> None:
    async with following(url, ADA) as stream:
        await database.execute(
            "INSERT INTO events (shard, owner_id, trigger_id, type, is_test)"
            " SELECT $1::bigint % 64, $1, 1, 'api', false FROM generate_series(1, 1000)",
            ADA,
        )
        await stream.read(1000)

    assert len(set(stream.ids)) == 1000
    assert stream.ids == sorted(stream.ids)


async def test_one_user_cannot_have_all_streams(url: str, service: Service) -> None:
    headers = {"Authorization": f"Bearer {token_of(ADA)}"}
    open_ones = [following(url, ADA) for _ in range(MOST_STREAMS_PER_USER)]
    for one in open_ones:
        await one.__aenter__()

    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        refused = await client.get("/events/stream")
    async with following(url, BOB):
        pass
    for one in open_ones:
        await one.__aexit__(None, None, None)

    problem_of(refused, 429)


async def test_filters_that_cannot_be_followed_are_refused(ada: httpx.AsyncClient) -> None:
    for headers in ({"Last-Event-ID": "x"}, {"Last-Event-ID": "-1"}):
        assert places_of(await ada.get("/events/stream", headers=headers)) == ["last-event-id"]
    assert places_of(await ada.get("/events/stream", params={"type": "x"})) == ["type"]


async def test_nobody_follows_without_a_token(anonymous: httpx.AsyncClient) -> None:
    problem_of(await anonymous.get("/events/stream"), 401)
    problem_of(await anonymous.get("/events/export"), 401)


@pytest.mark.xdist_group("processes")
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_open_streams_do_not_hold_up_the_end_of_the_service(
    database_url: str, workers: str
) -> None:
    """The service stops in good order while a stream waits for events."""
    with open_folder() as folder:
        settings = with_database(database_url)
        async with (
            serving(folder, "--workers", workers, **settings) as served,
            following(served.url, ADA) as stream,
        ):
            ending = asyncio.create_task(served.end())
            await stream.read_to_the_end()
            code = await ending

    assert code == 0


async def test_a_stream_outlasts_an_outage_of_the_database(database_url: str) -> None:
    async with (
        cable_to(database_url) as (cable, url_through_it),
        running_service(url_through_it) as service,
        listening(service) as url,
        following(url, ADA) as stream,
    ):
        database = await connect(database_url)
        first = await database.fetchval(_INSERT, ADA)
        await stream.read(1)
        await cable.cut()
        during_cut = await database.fetchval(_INSERT, ADA)
        await asyncio.sleep(0.5)
        await cable.plug_in()
        await stream.read(2)
        await database.close()

    assert stream.ids == [first, during_cut]
