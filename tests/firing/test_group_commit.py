"""Calls share commits only: each has its own answer, and none waits for another's trigger."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import httpx
import pytest

from event_trigger.firing import called_events
from event_trigger.models import SHARDS
from tests.support.locks import locked_trigger, until_somebody_waits
from tests.support.one_server import one_server
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.services import ADA, Service
from tests.support.triggers import make_api, read

COUNT_SCHEMA = {"properties": {"n": {"maximum": 9}}}
REFUSE_13 = """
    CREATE FUNCTION refuse_13() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.payload ->> 'n' = '13' THEN RAISE EXCEPTION 'unlucky'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse_13 BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse_13();
"""
MAKE_NEIGHBOUR = """
    WITH made AS (
        INSERT INTO users (id, email, password_hash, role)
        OVERRIDING SYSTEM VALUE VALUES ($1, 'neighbour@example.com', '-', 'user')
    )
    INSERT INTO logins (id, user_id, expires_at) VALUES ($2, $1, now() + interval '1 day')
"""
NEIGHBOUR = ADA + SHARDS


def fire(client: httpx.AsyncClient, trigger: dict[str, Any], **body: Any) -> Any:
    return asyncio.create_task(client.post(f"/triggers/{trigger['id']}/trigger", json=body))


async def fire_at_once(
    service: Service, client: httpx.AsyncClient, trigger: dict[str, Any], bodies: list[Any]
) -> list[httpx.Response]:
    """Sends all calls while the trigger is locked, so that they wait for it together."""
    async with locked_trigger(service.database_url, trigger["id"]) as holder:
        first = fire(client, trigger, **bodies[0])
        await until_somebody_waits(holder)
        others = [fire(client, trigger, **body) for body in bodies[1:]]
        await asyncio.sleep(0.1)
    return list(await asyncio.gather(first, *others))


async def test_calls_that_come_while_a_commit_is_under_way_share_the_next_one(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await make_api(ada)

    answers = await fire_at_once(service, ada, trigger, [{"n": n} for n in range(30)])

    assert {answer.status_code for answer in answers} == {200}
    ids = [int(answer.headers["location"].split("/")[-1]) for answer in answers]
    stored = await database.fetch("SELECT id, xid, payload ->> 'n' AS n FROM events")
    assert {row["id"]: int(row["n"]) for row in stored} == {one: n for n, one in enumerate(ids)}
    assert sorted(Counter(row["xid"] for row in stored).values()) == [1, 29]
    assert (await read(ada, trigger["id"]))["fire_count"] == 30


async def test_calls_that_go_into_several_statements_are_each_counted_once(
    service: Service, ada: httpx.AsyncClient, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(called_events, "_CHARACTERS_PER_STATEMENT", 1)
    trigger = await make_api(ada)

    answers = await fire_at_once(service, ada, trigger, [{"n": n} for n in range(10)])

    ids = [int(answer.headers["location"].split("/")[-1]) for answer in answers]
    stored = await database.fetch("SELECT id, xid, payload ->> 'n' AS n FROM events")
    assert {row["id"]: int(row["n"]) for row in stored} == {one: n for n, one in enumerate(ids)}
    assert sorted(Counter(row["xid"] for row in stored).values()) == [1, 9]
    assert (await read(ada, trigger["id"]))["fire_count"] == 10


async def test_a_call_that_is_refused_affects_no_other(
    service: Service, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada, details={"schema": COUNT_SCHEMA})

    answers = await fire_at_once(service, ada, trigger, [{"n": n} for n in range(20)])

    for number, answer in enumerate(answers):
        if number > 9:
            assert places_of(answer) == ["#/n"]
        else:
            assert answer.status_code == 200
    assert len(await read_all(ada, "/events")) == 10


@one_server("it has database triggers, which distributed tables cannot have")
async def test_a_call_that_the_database_refuses_fails_alone(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    await database.execute(REFUSE_13)
    trigger = await make_api(ada)

    answers = await fire_at_once(service, ada, trigger, [{"n": n} for n in range(20)])

    assert [n for n, answer in enumerate(answers) if answer.status_code != 200] == [13]
    problem_of(answers[13], 500)
    assert len(await read_all(ada, "/events")) == 19
    assert (await read(ada, trigger["id"]))["fire_count"] == 19


async def test_a_locked_trigger_holds_up_no_other(service: Service, ada: httpx.AsyncClient) -> None:
    held, free = await make_api(ada), await make_api(ada)

    async with locked_trigger(service.database_url, held["id"]) as holder:
        waiting = [fire(ada, held) for _ in range(3)]
        await until_somebody_waits(holder)
        waiting += [fire(ada, held) for _ in range(3)]
        at_once = [await fire(ada, free) for _ in range(3)]
        still_waiting = [one for one in waiting if not one.done()]
    answers = await asyncio.gather(*waiting)

    assert {answer.status_code for answer in [*answers, *at_once]} == {200}
    assert len(still_waiting) == 6


async def test_a_trigger_that_is_paused_while_calls_wait_for_it_fires_for_none(
    service: Service, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)

    async with locked_trigger(service.database_url, trigger["id"]) as holder:
        waiting = [fire(ada, trigger) for _ in range(3)]
        await until_somebody_waits(holder)
        await holder.execute("UPDATE triggers SET status = 'paused' WHERE id = $1", trigger["id"])
    answers = await asyncio.gather(*waiting)

    for answer in answers:
        problem_of(answer, 409)
    assert await read_all(ada, "/events") == []


async def test_a_caller_that_hangs_up_affects_no_other(
    service: Service, ada: httpx.AsyncClient
) -> None:
    trigger = await make_api(ada)

    async with locked_trigger(service.database_url, trigger["id"]) as holder:
        waiting = [fire(ada, trigger)]
        await until_somebody_waits(holder)
        waiting += [fire(ada, trigger) for _ in range(4)]
        await asyncio.sleep(0.05)
        for leaving in (waiting[0], waiting[2]):
            leaving.cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert [getattr(one, "status_code", None) for one in answers] == [None, 200, None, 200, 200]
    assert len(await read_all(ada, "/events")) == 4  # the first had begun


async def test_two_owners_of_a_shard_share_commits_and_fire_only_their_own_triggers(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    await database.execute(MAKE_NEIGHBOUR, NEIGHBOUR, UUID(int=NEIGHBOUR))
    neighbour = service.client(NEIGHBOUR)
    hers, theirs = await make_api(ada), await make_api(neighbour)

    answers = await asyncio.gather(
        *(
            fire(client, trigger)
            for _ in range(3)
            for client in (ada, neighbour)
            for trigger in (hers, theirs)
        )
    )

    assert [answer.status_code for answer in answers] == [200, 404, 404, 200] * 3
    nothing = await fire(neighbour, {"id": 999})
    assert answers[1].content == answers[2].content == nothing.content
    assert len(await read_all(ada, "/events")) == len(await read_all(neighbour, "/events")) == 3
