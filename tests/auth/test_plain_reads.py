"""GETs answered outside FastAPI get the answers of the described operation, and cost less."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import text
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.db.plain_session import PlainReads, Planning
from tests.support.callers import callers_without_keys
from tests.support.keys import holding, make_key
from tests.support.plain_statements import plain_statements
from tests.support.services import Service
from tests.support.triggers import make_api, make_scheduled

ODD = {"a": 1.0, "b": 1e2, "ü": "é\u2028", "n": None, "list": [1, "x"], "deep": {"c": True}}
SETTINGS = text(
    "SELECT current_setting('plan_cache_mode') || ' ' || current_setting('enable_sort')"
)
USUAL = "auto on"
GZIP = {"accept-encoding": "gzip"}
SORTS = ("id", "-id", "name", "-name", "next_fire_at", "-next_fire_at", "-last_fired_at")
PLAIN = (
    "/triggers/{0}",
    "/triggers/{1}",
    "/triggers/{2}",
    "/triggers/by-key/nightly",
    "/triggers",
    "/triggers?limit=2",
    "/triggers?limit=2&view=summary",
    "/triggers?status=active&type=api",
    "/triggers?tag=a&tag=b",
    "/triggers?id={0}&id={2}",
    "/triggers?failing=false&key=nightly",
    *(f"/triggers?limit=2&sort={one}" for one in SORTS),
    "/events/{3}",
    "/events",
    "/events?limit=2",
    "/events?limit=2&view=summary&include=deliveries",
    "/events?trigger_id={0}&trigger_id={1}&is_test=false",
    "/events?type=api&state=active",
    "/events?aggregate=true",
    "/events?aggregate=true&trigger_id={0}&is_test=false&limit=1&view=summary",
    "/events?aggregate=false&limit=1",
)
LEFT = (
    "/triggers/999",
    f"/triggers/{2**63}",
    "/triggers/x",
    "/events/999999",
    "/events/{3}?x=1",
    "/triggers/{0}?x=1",
    "/triggers/by-key/none",
    "/triggers?limit=0",
    "/triggers?limit=1001",
    "/triggers?limit=1&limit=2",
    "/triggers?limit=",
    "/triggers?lim=1",
    "/triggers?cursor=x",
    "/triggers?sort=size",
    "/events?type=x",
    "/events?since=2026-01-01T00:00:00Z",
    "/events?aggregate=maybe",
    "/events?aggregate=true&include=deliveries",
    "/events?aggregate=true&cursor=WzE3MDAwMDAwMDAwMDAwMDAsIDFd",
    "/events?include=x",
    "/events/export",
)


def described(path: str) -> str:
    """Gives the same question, with a query that is not plain."""
    return f"{path}&" if "?" in path else f"{path}?&"


def shown(answer: httpx.Response) -> tuple[Any, ...]:
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    if "link" in headers:
        headers["link"] = headers["link"].replace("&>", ">").replace("&&", "&")
    return answer.status_code, answer.content, headers


async def fill(client: httpx.AsyncClient) -> list[int]:
    """Makes triggers and events; gives the ids of three triggers, and of an event of the first."""
    details = {"hook": {"verify": "github"}}
    made = [
        await make_scheduled(client, key="nightly", name="Nightly", tags=["a", "b"], payload=ODD),
        await make_api(client, details=details, name="émigré", payload=ODD),
        await make_scheduled(client, {"time": "2020-01-01T00:00:00Z"}, tags=["a"]),
        await make_api(client, details={"schema": {"type": "object"}}),
    ]
    *ids, gone = [one["id"] for one in made]
    for body in (ODD, {}):
        fired = await client.post(f"/triggers/{ids[0]}/trigger", json=body)
        await client.post(f"/triggers/{gone}/test", json=body)
    await client.delete(f"/triggers/{gone}")
    await client.post(f"/triggers/{ids[1]}/pause")
    return [*ids, int(fired.headers["event-id"])]


async def test_every_plain_read_is_answered_as_the_operation_answers(
    ada: httpx.AsyncClient,
) -> None:
    ids = await fill(ada)

    answers = {}
    for name in (*PLAIN, *LEFT):
        path = name.format(*ids)
        with plain_statements() as seen:
            plain = await ada.get(path)
        is_plain = bool(seen)
        with plain_statements() as seen_there:
            other = await ada.get(described(path))
        answers[name] = shown(plain) == shown(other), is_plain, bool(seen_there)

    assert {path: one for path, one in answers.items() if not one[0]} == {}
    assert [path for path in PLAIN if not answers[path][1]] == []
    assert [path for path, one in answers.items() if one[2]] == []
    assert (await ada.get(f"/triggers/{ids[0]}")).json()["payload"] == ODD


async def test_pages_follow_one_another_alike_in_both_ways(ada: httpx.AsyncClient) -> None:
    await fill(ada)

    for first in ("/triggers?limit=1", "/triggers?limit=1&sort=name", "/events?limit=1"):
        path: str | None = first
        pages = 0
        while path is not None:
            plain, other = await ada.get(path), await ada.get(described(path))
            assert shown(plain) == shown(other)
            path = plain.links["next"]["url"] if "next" in plain.links else None
            pages += 1
        assert pages >= 3


async def test_every_caller_is_answered_alike_in_both_ways(
    service: Service, ada: httpx.AsyncClient
) -> None:
    ids = await fill(ada)
    own = f"/triggers/{ids[1]}"
    callers = {
        **callers_without_keys(service, ada),
        "a key": holding(service, await make_key(ada)),
        "a key that fires": holding(service, await make_key(ada, "triggers:fire")),
        "a key that reads": holding(service, await make_key(ada, "triggers:read", "events:read")),
        "a key for another": holding(service, await make_key(ada, trigger_ids=[ids[2]])),
        "a key for this one": holding(service, await make_key(ada, trigger_ids=[ids[1]])),
    }

    statuses: dict[str, list[int]] = {}
    fired = f"/events/{ids[3]}"
    for path in (own, fired, "/triggers", "/events", "/triggers?sort=name", "/overview"):
        for name, client in callers.items():
            plain, other = await client.get(path), await client.get(described(path))
            if path == "/overview":  # a count may have ended between them
                assert plain.status_code == other.status_code
            else:
                assert shown(plain) == shown(other), (path, name)
            statuses.setdefault(path, []).append(plain.status_code)

    assert statuses[own] == [200, 404, 404, 200, 200, 401, 200, 403, 200, 404, 200]
    assert statuses[fired] == [200, 404, 404, 200, 200, 401, 200, 403, 200, 404, 404]
    assert statuses["/events"] == [200, 200, 200, 200, 200, 401, 200, 403, 200, 200, 200]
    assert statuses["/overview"] == [200, 200, 200, 200, 200, 401, 200, 403, 403, 403, 403]


async def test_the_overview_is_the_same_in_both_ways(ada: httpx.AsyncClient) -> None:
    await fill(ada)
    await make_key(ada, expires_at="2126-01-01T00:00:00Z")

    with plain_statements() as seen:
        plain = await ada.get("/overview")
    other = await ada.get("/overview?&")

    parts = [[one for one in each.json() if one != "at"] for each in (plain, other)]
    assert parts[0] == parts[1]
    assert plain.json()["triggers"].keys() == other.json()["triggers"].keys()
    assert len(seen) >= 5


async def test_reads_at_once_share_statements_and_get_their_own_rows(
    service: Service, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    both = {client: [(await make_api(client))["id"] for _ in range(10)] for client in (ada, bob)}
    asked = [(client, one) for client in both for ids in both.values() for one in ids]

    with plain_statements() as seen:
        answers = await asyncio.gather(*(who.get(f"/triggers/{one}") for who, one in asked))

    found = [answer.json().get("id") for answer in answers]
    assert found == [one if one in both[who] else None for who, one in asked]
    assert 0 < len(seen) < len(asked)


async def test_a_tag_that_is_known_answers_304_alike_in_both_ways(ada: httpx.AsyncClient) -> None:
    path = f"/triggers/{(await fill(ada))[0]}"
    tag = (await ada.get(path)).headers["etag"]

    for sent in (tag, f"W/{tag}", '"x"', "*", "x", ""):
        headers = {"if-none-match": sent}
        plain = await ada.get(path, headers=headers)
        other = await ada.get(described(path), headers=headers)
        assert shown(plain) == shown(other)
        assert plain.status_code == (304 if sent in {tag, f"W/{tag}", "*"} else 200)


async def test_large_pages_are_compressed_alike_in_both_ways(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, payload={"a": "b" * 11_000})
    await ada.post(f"/triggers/{made['id']}/trigger")

    for path in (f"/triggers/{made['id']}", "/triggers", "/events"):
        plain = await ada.get(path, headers=GZIP)
        other = await ada.get(described(path), headers=GZIP)
        assert shown(plain) == shown(other)
        assert plain.headers["content-encoding"] == "gzip"


async def test_the_log_tells_of_reads_alike_in_both_ways(ada: httpx.AsyncClient) -> None:
    path = f"/triggers/{(await fill(ada))[0]}"

    told = []
    for asked in (path, described(path)):
        with capture_logs([merge_contextvars]) as logged:
            await ada.get(asked, headers={"x-request-id": "my-id"})
        told.append([{**one, "ms": 0} for one in logged])

    assert told[0] == told[1]
    assert len(told[0]) == 1


@pytest.mark.parametrize("planning", Planning)
async def test_a_statement_that_fails_leaves_the_connection_as_it_was(
    database_url: str, planning: Planning
) -> None:
    engine = create_engine(database_url, connections=1)
    reads, one = PlainReads(engine), text("SELECT CAST(:one AS integer) AS one")

    async def divide() -> None:
        async with reads.open() as session:
            await session.plan(planning)
            await session.execute(text("SELECT 1 / CAST(:zero AS integer)"), {"zero": 0})

    with pytest.raises(asyncpg.PostgresError, match="division"):
        await divide()
    async with reads.open() as session:
        found = (await session.execute(one, {"one": 1})).one()
        setting = await session.scalar(SETTINGS)
    await engine.dispose()

    assert (found.one, found[0], setting) == (1, 1, USUAL)


async def test_a_connection_keeps_its_planning_only_for_readers_that_choose_one(
    database_url: str,
) -> None:
    engine = create_engine(database_url, connections=1)
    reads, sessions = PlainReads(engine), create_sessions(engine)

    async def after_a_page(*, keeps_planning: bool, planning: Planning = Planning.GENERIC) -> Any:
        async with reads.open(keeps_planning=True) as session:
            await session.plan(planning)
        async with reads.open(keeps_planning=keeps_planning) as session:
            return await session.scalar(SETTINGS)

    kept, ended = [await after_a_page(keeps_planning=one) for one in (True, False)]
    along = await after_a_page(keeps_planning=True, planning=Planning.ALONG_INDEXES)
    again = await after_a_page(keeps_planning=True)
    await after_a_page(keeps_planning=True, planning=Planning.ALONG_INDEXES)
    async with sessions() as session:
        in_session = await session.scalar(SETTINGS)
    await engine.dispose()

    assert (kept, ended) == ("force_generic_plan on", USUAL)
    assert (along, again) == ("force_custom_plan off", kept)
    assert in_session == USUAL
