"""Calls of several owners share a transaction, and each keeps its own answer and its own rows.

The calls are queued before the task that fires them begins, so that they come as one group.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx
import pytest

from event_trigger.db.engine import is_outage, sqlstate
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Invalid, NotFound
from event_trigger.firing.fire import Call, CallAnswer, SentBody
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.firing.queued_calls import CHARACTERS_PER_COMMIT
from event_trigger.firing.refusals import EventsFull, Paused
from event_trigger.idempotency.refusals import KeyReused
from event_trigger.web.dependencies import state_of
from tests.support.citus import look_distributed
from tests.support.databases import connect
from tests.support.destinations import list_deliveries, make_destination
from tests.support.locks import locked_trigger, until_somebody_waits
from tests.support.one_server import one_server
from tests.support.reading import read_all
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import ADA, ADMIN, BOB, Service, running_service
from tests.support.shards import ONE_SERVER, ShardWatch
from tests.support.triggers import make_api, read

OWNERS = (ADA, BOB, ADMIN)
UNLUCKY = {"n": 13}
STOP_13 = """
    CREATE FUNCTION stop_13() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.payload ->> 'n' = '13' THEN {} END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER stop_13 BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION stop_13();
"""
REFUSE, WAIT = "RAISE EXCEPTION 'unlucky';", "PERFORM pg_advisory_xact_lock(13);"


def call(owner: int, trigger: Any, body: Any = None, **more: Any) -> Call:
    sent = None if body is None else SentBody(body, str(body).replace("'", '"'))
    key = OwnedId(owner, trigger["id"])
    return Call(key, sent, **{"is_test": False, "idempotency_key": None, **more})


async def fire(commits: GroupCommit, calls: Sequence[Call]) -> list[Any]:
    """Fires calls as one group; gives the answer or the error of each."""
    return await asyncio.gather(*map(commits.fire, calls), return_exceptions=True)


@asynccontextmanager
async def held_13(service: Service) -> AsyncIterator[None]:
    """Lets the unlucky event wait until the end of the body."""
    holder = await connect(service.database_url)
    try:
        await holder.execute("SELECT pg_advisory_lock(13)")
        yield
    finally:
        await holder.close()


def kinds(answers: Sequence[Any]) -> list[type]:
    return [type(one) for one in answers]


async def make_for_each(service: Service, **more: Any) -> dict[int, dict[str, Any]]:
    return {owner: await make_api(service.client(owner), **more) for owner in OWNERS}


@pytest.fixture
def commits(service: Service) -> GroupCommit:
    return GroupCommit(state_of(service.app).sessions)


async def count_of(client: httpx.AsyncClient) -> int:
    return len(await read_all(client, "/events"))


@one_server("in a cluster each shard has a transaction")
async def test_one_transaction_fires_for_all_owners_and_decides_on_each_call_alone(
    service: Service, commits: GroupCommit, database: Any
) -> None:
    schema = {"schema": {"properties": {"n": {"maximum": 9}}}}
    made = await make_for_each(service, payload={"from": "trigger"}, details=schema)
    paused = await make_for_each(service)
    for owner in OWNERS:
        await service.client(owner).post(f"/triggers/{paused[owner]['id']}/pause")

    answers = await fire(
        commits,
        [
            *(call(owner, made[owner], {"n": place}) for place, owner in enumerate(OWNERS)),
            *(call(owner, made[owner], is_test=True) for owner in OWNERS),
            *(call(owner, paused[owner]) for owner in OWNERS),
            *(call(owner, paused[owner], is_test=True) for owner in OWNERS),
            *(call(owner, made[owner], {"n": 10}) for owner in OWNERS),
            *(call(other, made[owner]) for owner, other in pairwise(OWNERS)),
        ],
    )

    expected = [CallAnswer, CallAnswer, Paused, CallAnswer, Invalid]
    assert kinds(answers) == [one for kind in expected for one in [kind] * 3] + [NotFound] * 2
    stored = await database.fetch("SELECT * FROM events ORDER BY id")
    fired = [one for one in answers if isinstance(one, CallAnswer)]
    assert [row["id"] for row in stored] == [one.event_id for one in fired]
    assert [row["owner_id"] for row in stored] == [*OWNERS] * 3
    assert len({row["xid"] for row in stored}) == 1
    assert len({row["shard"] for row in stored}) == 3
    for place, owner in enumerate(OWNERS):
        client = service.client(owner)
        payloads = [one["payload"] for one in await read_all(client, "/events")]
        assert payloads == [None, {"from": "trigger"}, {"from": "trigger", "n": place}]
        assert (await read(client, made[owner]["id"]))["fire_count"] == 1


async def test_keys_count_for_their_owner_in_a_shared_transaction(
    service: Service, commits: GroupCommit
) -> None:
    made = await make_for_each(service)
    calls = [call(owner, made[owner], {"n": 1}, idempotency_key="k") for owner in OWNERS]
    stranger = call(BOB, made[ADA], {"n": 1}, idempotency_key="k")
    changed = [call(owner, made[owner], {"n": 2}, idempotency_key="k") for owner in OWNERS]

    first = await fire(commits, [stranger, *calls])
    again = await fire(commits, [*calls, stranger])
    other = await fire(commits, changed)

    assert kinds(first) == [NotFound, *[CallAnswer] * 3]
    assert kinds(again) == [*[CallAnswer] * 3, NotFound]
    assert [one.event_id for one in again[:3]] == [one.event_id for one in first[1:]]
    assert {one.is_repeated for one in again[:3]} == {True}
    assert kinds(other) == [KeyReused] * 3
    assert [await count_of(service.client(owner)) for owner in OWNERS] == [1] * 3


async def test_a_project_without_room_holds_up_no_other(
    service: Service, commits: GroupCommit, database: Any
) -> None:
    made = await make_for_each(service)
    await database.execute(
        "INSERT INTO event_bytes (shard, is_total, starts_at, owner_id, bytes, reached)"
        f" VALUES ({BOB}, true, '-infinity', {BOB}, {2**40}, {2**33})"
    )

    answers = await fire(commits, [call(owner, made[owner]) for owner in OWNERS])

    assert kinds(answers) == [CallAnswer, EventsFull, CallAnswer]


async def test_a_locked_trigger_holds_up_no_other_owner_of_the_group(
    service: Service, commits: GroupCommit
) -> None:
    made = await make_for_each(service)

    async with locked_trigger(service.database_url, made[OWNERS[0]]["id"]) as holder:
        held, *free = [
            asyncio.ensure_future(commits.fire(call(owner, made[owner]))) for owner in OWNERS
        ]
        await asyncio.gather(*free)
        await until_somebody_waits(holder)
        is_answered = held.done()
        more = await fire(commits, [call(owner, made[owner]) for owner in OWNERS[1:]])
    first = await held

    assert not is_answered
    assert kinds([first, *more]) == [CallAnswer] * 3
    assert [await count_of(service.client(owner)) for owner in OWNERS] == [1, 2, 2]


@one_server("it has database triggers, which distributed tables cannot have")
async def test_a_call_that_the_database_refuses_fails_alone_among_owners(
    service: Service, commits: GroupCommit, database: Any
) -> None:
    made = await make_for_each(service)
    await database.execute(STOP_13.format(REFUSE))

    answers = await fire(
        commits,
        [call(owner, made[owner], UNLUCKY if owner == BOB else {"n": 1}) for owner in OWNERS],
    )

    assert [isinstance(one, CallAnswer) for one in answers] == [True, False, True]
    assert sqlstate(answers[1]) == "P0001"
    assert [await count_of(service.client(owner)) for owner in OWNERS] == [1, 0, 1]


async def test_two_processes_that_fire_the_same_triggers_fire_each_call_once(
    service: Service, commits: GroupCommit, database: Any
) -> None:
    made, other = await make_for_each(service), GroupCommit(state_of(service.app).sessions)
    calls = [call(owner, made[owner], {"n": 1}) for owner in OWNERS] * 10
    missing = call(ADA, {"id": 999_999})

    answers = await asyncio.gather(*(fire(one, [*calls, missing]) for one in (commits, other) * 2))

    for each in answers:
        assert kinds(each) == [CallAnswer] * len(calls) + [NotFound]
    ids = {one.event_id for each in answers for one in each[:-1]}
    assert len(ids) == 4 * len(calls) == await database.fetchval("SELECT count(*) FROM events")
    for owner in OWNERS:
        assert (await read(service.client(owner), made[owner]["id"]))["fire_count"] == 40


@one_server("it has database triggers, which distributed tables cannot have")
async def test_a_slow_transaction_holds_up_no_later_calls(
    service: Service, commits: GroupCommit, database: Any
) -> None:
    made = await make_for_each(service)
    await database.execute(STOP_13.format(WAIT))

    async with held_13(service):
        slow = asyncio.ensure_future(commits.fire(call(ADA, made[ADA], UNLUCKY)))
        await until_somebody_waits(database)
        others = await fire(commits, [call(owner, made[owner]) for owner in (BOB, ADMIN)])
        same = asyncio.ensure_future(commits.fire(call(ADA, made[ADA], {"n": 2})))
        await until_somebody_waits(database, 2)
        is_answered = slow.done() or same.done()
    answers = [await slow, *others, await same]

    assert not is_answered
    assert kinds(answers) == [CallAnswer] * 4
    assert [await count_of(service.client(owner)) for owner in OWNERS] == [2, 1, 1]


@one_server("it has database triggers, which distributed tables cannot have")
async def test_a_killed_transaction_fires_for_no_owner_and_its_calls_may_be_repeated(
    service: Service, commits: GroupCommit, database: Any
) -> None:
    made = await make_for_each(service)
    await database.execute(STOP_13.format(WAIT))
    calls = [call(owner, made[owner], UNLUCKY, idempotency_key="k") for owner in OWNERS]

    async with held_13(service):
        killed = asyncio.ensure_future(fire(commits, calls))
        await until_somebody_waits(database)
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        errors = await killed
    before = [await count_of(service.client(owner)) for owner in OWNERS]
    answers = await fire(commits, calls)

    assert [is_outage(one) for one in errors] == [True] * 3
    assert before == [0] * 3
    assert kinds(answers) == [CallAnswer] * 3
    assert [await count_of(service.client(owner)) for owner in OWNERS] == [1] * 3


async def test_large_bodies_go_in_transactions_of_their_own(
    service: Service, commits: GroupCommit, database: Any
) -> None:
    made = await make_for_each(service)
    large = {"text": "x" * (CHARACTERS_PER_COMMIT // 2)}

    answers = await fire(commits, [call(owner, made[owner], large) for owner in OWNERS])

    assert kinds(answers) == [CallAnswer] * 3
    assert len(await database.fetch("SELECT DISTINCT xid FROM events")) == 3


async def test_each_owner_gets_its_own_deliveries(database_url: str) -> None:
    async with running_service(database_url, **ALLOW_LOOPBACK) as service, receiving() as receiver:
        made = {}
        for owner in OWNERS:
            client = service.client(owner)
            sent_to = await make_destination(client, f"{receiver.url}/{owner}")
            made[owner] = await make_api(client, destinations=[sent_to["id"]])
        commits = GroupCommit(state_of(service.app).sessions)

        answers = await fire(commits, [call(one, made[one], {"to": one}) for one in OWNERS])

        for owner, answer in zip(OWNERS, answers, strict=True):
            [delivery] = await list_deliveries(service.client(owner))
            assert delivery["event_id"] == answer.event_id
            assert delivery["trigger_id"] == made[owner]["id"]


async def test_a_cluster_fires_in_one_transaction_for_each_shard(
    database_url: str, database: Any, shard_watch: ShardWatch
) -> None:
    await look_distributed(database)
    async with running_service(database_url) as service:
        made = await make_for_each(service)
        commits = GroupCommit(state_of(service.app).sessions)
        calls = [call(one, made[one], idempotency_key="k") for one in OWNERS * 2]
        shard_watch.reasons.clear()

        answers = await fire(commits, calls[:3]) + await fire(commits, calls[3:])

        assert kinds(answers) == [CallAnswer] * 6
        assert [one.is_repeated for one in answers] == [False] * 3 + [True] * 3
        rows = await database.fetch("SELECT xid, shard FROM events")
        assert len({row["xid"] for row in rows}) == len({row["shard"] for row in rows}) == 3
        assert ONE_SERVER not in shard_watch.reasons
