"""Each database has its own installation id, and a copy of a database gets a new one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import make_url

from event_trigger.db.engine import create_engine
from event_trigger.db.migrate import migrate
from tests.support.databases import connect, fresh_database
from tests.support.destinations import fire, make_destination, until_finished
from tests.support.one_server import one_server
from tests.support.receiver import ALLOW_LOOPBACK, Receiver, receiving
from tests.support.services import ADA, Service, running_service
from tests.support.triggers import make_api

_NODES_MEET = "the nodes of a cluster are connected to a database while it is to be copied"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def start(url: str, role: str | None = None) -> str:
    """Migrates, perhaps as a role with few rights; returns the installation's id."""
    engine = create_engine(make_url(url).set(username=role) if role else url)
    await migrate(engine)
    await engine.dispose()
    return await id_in(url)


async def id_in(url: str) -> str:
    connection = await connect(url)
    found: str = await connection.fetchval("SELECT name FROM installation")
    await connection.close()
    return found


async def execute(url: str, *statements: str) -> None:
    connection = await connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@asynccontextmanager
async def copied(url: str) -> AsyncIterator[str]:
    async with fresh_database(url, template=str(make_url(url).database)) as copy:
        yield copy


@asynccontextmanager
async def sending(url: str, **settings: Any) -> AsyncIterator[Service]:
    async with running_service(url, **ALLOW_LOOPBACK, **settings) as service:
        yield service


async def deliver_one(service: Service, trigger: dict[str, Any]) -> int:
    ada = service.client(ADA)
    event_id = await fire(ada, trigger)
    await until_finished(ada, event_id=event_id)
    return event_id


async def test_an_installation_keeps_its_id_and_no_two_have_the_same(
    server_url: str, template: str, empty_url: str
) -> None:
    first = await start(empty_url)
    await execute(empty_url, "VACUUM (FULL, FREEZE) installation")
    again = await start(empty_url)
    async with fresh_database(server_url, template=template) as other_url:
        other = await start(other_url)

    assert first == again
    assert first != other
    assert len(first) == 16
    assert set(first) <= set("0123456789abcdef")


async def test_a_copy_of_a_database_is_another_installation(empty_url: str) -> None:
    original = await start(empty_url)

    async with copied(empty_url) as copy_url:
        carried = await id_in(copy_url)
        copy, again = await start(copy_url), await start(copy_url)

    assert carried == original
    assert copy == again != original
    assert await start(empty_url) == original


async def test_a_row_that_was_restored_into_the_same_database_is_another_installation(
    empty_url: str,
) -> None:
    original = await start(empty_url)
    await execute(  # as a dump of an earlier day comes back
        empty_url,
        "CREATE TEMP TABLE dumped AS SELECT * FROM installation",
        "TRUNCATE installation",
        "INSERT INTO installation SELECT * FROM dumped",
    )

    restored, again = await start(empty_url), await start(empty_url)

    assert restored == again != original


async def test_a_server_that_does_not_say_which_one_it_is_keeps_its_id(empty_url: str) -> None:
    role = f"limited_{make_url(empty_url).database}"
    await execute(
        empty_url,
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
        f"CREATE ROLE {role} LOGIN",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}",
    )

    made = await start(empty_url, role)
    async with copied(empty_url) as copy_url:
        carried = await start(copy_url, role)
    await execute(empty_url, f"GRANT EXECUTE ON FUNCTION pg_control_system() TO {role}")
    known = await start(empty_url, role)
    async with copied(empty_url) as copy_url:
        told_apart = await start(copy_url, role)

    assert made == carried == known != told_apart
    await execute(empty_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@one_server(_NODES_MEET)
async def test_a_copy_sends_its_own_events_under_ids_of_its_own(
    database_url: str, receiver: Receiver
) -> None:
    async with sending(database_url) as service:
        ada = service.client(ADA)
        made = await make_destination(ada, receiver.url)
        trigger = await make_api(ada, destinations=[made["id"]])
        await deliver_one(service, trigger)
    async with copied(database_url) as copy_url:
        events = []
        for url in (database_url, copy_url):
            async with sending(url) as service:
                events.append(await deliver_one(service, trigger))

    assert events[0] == events[1]
    assert len({one.message_id for one in receiver.received}) == 3
    sources = [json.loads(one.body)["source"] for one in receiver.received]
    assert sources[0] == sources[1] != sources[2]


@one_server(_NODES_MEET)
async def test_what_was_attempted_before_a_copy_was_made_keeps_its_webhook_id(
    database_url: str, receiver: Receiver
) -> None:
    receiver.answers["/"] = 500
    async with sending(database_url, retry_after="0.05") as service:
        ada = service.client(ADA)
        made = await make_destination(ada, receiver.url)
        trigger = await make_api(ada, destinations=[made["id"]])
        await deliver_one(service, trigger)
    async with copied(database_url) as copy_url, sending(copy_url) as service:
        receiver.answers["/"] = 204
        ada = service.client(ADA)
        [given_up] = await until_finished(ada)
        await ada.post(f"/deliveries/{given_up['id']}/redeliver")
        await until_finished(ada, status="delivered")

    first, *later = receiver.received
    assert len(later) == 2
    assert {(one.message_id, one.body) for one in later} == {(first.message_id, first.body)}


async def test_what_the_version_before_attempted_keeps_its_webhook_id(
    database_url: str, database: Any, receiver: Receiver
) -> None:
    receiver.answers["/"] = 500
    async with sending(database_url, retry_after="0.05") as service:
        ada = service.client(ADA)
        made = await make_destination(ada, receiver.url)
        trigger = await make_api(ada, destinations=[made["id"]])
        event_id = await deliver_one(service, trigger)
        await database.execute("UPDATE deliveries SET installation = NULL")
        [given_up] = await until_finished(ada)
        receiver.answers["/"] = 204
        await ada.post(f"/deliveries/{given_up['id']}/redeliver")
        await until_finished(ada, status="delivered")

    last = receiver.received[-1]
    assert last.message_id == f"evt_{event_id}"
    assert json.loads(last.body)["source"] == f"/triggers/{trigger['id']}"


async def test_where_others_reach_the_service_is_the_source_if_it_is_known(
    database_url: str, receiver: Receiver
) -> None:
    public_url = "https://Events.example.com/base/"
    async with sending(database_url, public_url=public_url) as service:
        ada = service.client(ADA)
        made = await make_destination(ada, receiver.url)
        trigger = await make_api(ada, destinations=[made["id"]])
        await deliver_one(service, trigger)
        await ada.post(f"/destinations/{made['id']}/test")

    event, sample = [json.loads(one.body)["source"] for one in receiver.received]
    assert event == f"https://Events.example.com/base/triggers/{trigger['id']}"
    assert sample == f"https://Events.example.com/base/destinations/{made['id']}"
