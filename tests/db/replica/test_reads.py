"""Reads run on the replica while it is fresh, and none fails when the replica does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.support.databases import connect, create_database, drop_database, make_template
from tests.support.destinations import fire, list_deliveries, make_destination
from tests.support.planting import plant_event
from tests.support.reading import read_all
from tests.support.services import (
    ADA,
    ADMIN,
    Service,
    fill_with_people_and_partitions,
    running_service,
)
from tests.support.standby import Pair, copy_primary, primary_and_standby
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("processes")

# one looks how far it is, the others read
READING = "SELECT count(*) > 1 FROM pg_stat_activity WHERE application_name = 'event-trigger'"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with primary_and_standby() as made:
        asyncio.run(copy_primary(made))
        made.start_standby()
        yield made
        made.stop_standby()


@pytest.fixture(scope="module")
def primary_template(pair: Pair) -> str:
    return make_template(pair.primary_url, fill_with_people_and_partitions)


@pytest.fixture
async def database_url(pair: Pair, primary_template: str) -> AsyncIterator[str]:
    url = await create_database(pair.primary_url, template=primary_template)
    await pair.catch_up()
    yield url
    await drop_database(url)


@asynccontextmanager
async def reading_from(url: str, database_url: str) -> AsyncIterator[Service]:
    async with running_service(database_url, read_database_url=SecretStr(url)) as running:
        yield running


@pytest.fixture
async def service(pair: Pair, database_url: str) -> AsyncIterator[Service]:
    async with reading_from(pair.on_standby(database_url), database_url) as running:
        await until_used(pair, running.client(ADA))
        yield running


async def until_used(pair: Pair, client: httpx.AsyncClient) -> None:
    """Reads until the replica has answered a read."""

    async def read() -> object:
        assert (await client.get("/events")).status_code == 200
        return await pair.ask(READING)

    await eventually(read, bool)


async def ids_in(client: httpx.AsyncClient, path: str = "/events") -> list[int]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()]


@pytest.mark.parametrize("path", ["/events", "/events?aggregate=true", "/events/export"])
async def test_the_log_is_read_from_the_replica_and_one_event_from_the_primary(
    pair: Pair, service: Service, ada: httpx.AsyncClient, path: str
) -> None:
    trigger = await make_api(ada)
    await fire(ada, trigger)
    async with pair.standing_still():
        before = (await ada.get(path)).text
        event_id = await fire(ada, trigger)
        after = (await ada.get(path)).text
        one = await ada.get(f"/events/{event_id}")

    assert before == after
    assert before not in {"", "[]"}
    assert one.status_code == 200


async def test_deliveries_and_the_audit_log_are_read_from_the_replica(
    pair: Pair, service: Service, ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    trigger = await make_delivered(ada)
    async with pair.standing_still():
        await fire(ada, trigger)
        await ada.post(f"/triggers/{trigger['id']}/pause")
        deliveries = await list_deliveries(ada)
        audit = (await admin.get("/audit")).json()

    assert deliveries == []
    assert "pause_trigger" not in {one["action"] for one in audit}


async def test_a_replica_that_stands_still_is_left_when_what_it_shows_is_too_old(
    pair: Pair, service: Service, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)
    async with pair.standing_still():
        event_id = await fire(ada, trigger)
        hidden = await ids_in(ada)
        shown = await eventually(lambda: ids_in(ada), bool)

    assert hidden == []
    assert shown == [event_id]
    async with pair.standing_still():
        await until_hidden(ada, trigger)


async def until_hidden(client: httpx.AsyncClient, trigger: dict[str, Any]) -> None:
    """Fires until the list lacks an event: then the paused replica is used again."""

    async def fired_and_hidden() -> bool:
        return await fire(client, trigger) not in await ids_in(client)

    await eventually(fired_and_hidden, bool)


async def test_while_the_replica_is_dead_the_primary_answers_and_it_is_used_again_when_it_is_back(
    pair: Pair, service: Service, ada: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    trigger = await make_api(ada)
    event_id = await fire(ada, trigger)

    pair.kill_standby()
    try:
        alone = [await ids_in(ada) for _ in range(50)]
    finally:
        pair.start_standby()
    await until_used(pair, ada)
    said = capsys.readouterr().out

    assert alone == [[event_id]] * 50
    assert said.count("read_replica_left") == 1
    assert said.count("read_replica_used") == 1
    assert "database_unavailable" not in said


async def test_a_read_that_the_replica_cancels_for_what_it_replays_is_answered(
    pair: Pair, service: Service, database_url: str, ada: httpx.AsyncClient
) -> None:
    connection = await connect(database_url)
    trigger = await make_api(ada)
    await plant_many(connection, trigger["id"], count=100_000)
    before = await cancelled(pair)
    done = asyncio.Event()

    async def read_on() -> set[int]:
        statuses = set()
        while not done.is_set():
            statuses.add((await ada.get("/events?aggregate=true")).status_code)
        return statuses

    async def drop_one() -> int:
        await drop_a_partition(pair, connection)
        return await cancelled(pair)

    readers = [asyncio.create_task(read_on()) for _ in range(2)]
    await eventually(drop_one, lambda now: now >= before + 3)
    done.set()
    statuses = await asyncio.gather(*readers)
    await connection.close()

    assert statuses == [{200}, {200}]


async def plant_many(connection: Any, trigger_id: int, *, count: int) -> None:
    await connection.execute(
        """
        INSERT INTO events (shard, owner_id, trigger_id, type, is_test, triggered_at)
        SELECT $1::bigint % 64, $1, $2, 'api', false, now() FROM generate_series(1, $3)
        """,
        ADA,
        trigger_id,
        count,
    )


async def drop_a_partition(pair: Pair, connection: Any) -> None:
    await connection.execute(
        "CREATE TABLE events_far PARTITION OF events"
        " FOR VALUES FROM ('2999-01-01') TO ('2999-01-02')"
    )
    await connection.execute("DROP TABLE events_far")
    await pair.catch_up()


async def cancelled(pair: Pair) -> int:
    """Counts the statements that the standby has cancelled because of a replayed lock."""
    count = await pair.ask("SELECT sum(confl_lock) FROM pg_stat_database_conflicts")
    return int(str(count))


async def test_a_page_goes_on_where_one_of_the_primary_ended(
    pair: Pair, service: Service, database_url: str, ada: httpx.AsyncClient
) -> None:
    overseer = service.client(ADMIN, project="*")
    async with running_service(database_url) as without_replica, pair.standing_still():
        trigger = await make_delivered(ada)
        for _ in range(3):
            await fire(ada, trigger)
        for path, reader, elsewhere in (
            ("/events", ada, without_replica.client(ADA)),
            ("/deliveries", ada, without_replica.client(ADA)),
            ("/deliveries", overseer, without_replica.client(ADMIN, project="*")),
            ("/audit", overseer, without_replica.client(ADMIN)),
        ):
            first = await elsewhere.get(path, params={"limit": 1})
            cursor = httpx.URL(first.links["next"]["url"]).params["cursor"]
            rest = await read_all(reader, path, cursor=cursor)
            assert [*first.json(), *rest] == await read_all(elsewhere, path)


async def test_a_trigger_that_the_replica_does_not_know_yet_is_accounted_for(
    pair: Pair, service: Service, ada: httpx.AsyncClient
) -> None:
    known = await make_scheduled(ada)
    async with pair.standing_still():
        new = await make_scheduled(ada)
        answers = [await ada.get(f"/triggers/{one['id']}/accounting") for one in (known, new)]
        none = await ada.get("/triggers/999999/accounting")

    assert [one.status_code for one in answers] == [200, 200]
    assert none.status_code == 404


async def test_what_is_no_replica_of_this_database_is_never_asked(
    pair: Pair, primary_template: str, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other_url = await create_database(pair.primary_url, template=primary_template)
    await pair.catch_up()
    reasons = []
    for url in (pair.on_standby(other_url), database_url):
        async with reading_from(url, database_url) as running:
            connection = await connect(database_url)
            event_id = await plant_event(connection, trigger_id=1, triggered_at=datetime.now(UTC))
            await connection.close()
            reasons.append(await eventually(lambda: said_by(capsys), bool))
            assert event_id in await ids_in(running.client(ADA))
    await drop_database(other_url)

    assert reasons == ["it is not of this database", "it follows no primary"]


async def said_by(capsys: pytest.CaptureFixture[str]) -> str:
    """Waits until the replica is no longer used; returns the reason."""
    said = capsys.readouterr().out
    known = ("it is not of this database", "it follows no primary")
    return next((reason for reason in known if reason in said), "")


async def make_delivered(client: httpx.AsyncClient) -> dict[str, Any]:
    """Makes an api trigger whose events wait for a disabled destination."""
    destination = await make_destination(client, "https://receiver.example.com/hook")
    answer = await client.post(f"/destinations/{destination['id']}/disable")
    assert answer.status_code == 200, answer.text
    return await make_api(client, destinations=[destination["id"]])
