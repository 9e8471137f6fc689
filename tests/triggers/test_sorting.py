"""Lists of triggers follow each order, in pages, whether they are sorted or read from an index."""

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.models import TriggerStatus, TriggerType
from event_trigger.triggers.filters import TriggerFilter
from event_trigger.triggers.list_tables import TriggerFollower
from event_trigger.triggers.lists import SortedTriggers
from event_trigger.triggers.sorting import MOST_SORTED, SortPosition, TriggerSort
from event_trigger.web.pagination import encode_cursor
from tests.support.databases import connect
from tests.support.locks import until_somebody_waits
from tests.support.one_server import one_server
from tests.support.plans import plans_of
from tests.support.problems import places_of
from tests.support.reading import read_all
from tests.support.services import ADA, BOB, Service
from tests.support.triggers import change, make_api, make_scheduled

COUNT_PLANS = """
    SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements
    WHERE statement LIKE '%AS value%' AND statement NOT LIKE '%generic_plans%'
"""
NONE_SORTED = -1  # every list is read along an index
BY_VALUE = [one for one in TriggerSort if not one.is_by_id]
# every seventh value is shared or missing; a third of the triggers is Bob's
FILL = f"""
    INSERT INTO triggers (shard, owner_id, type, name, details, tags, destination_ids, status,
        anchor_at, next_fire_at, last_fired_at, error)
    SELECT owner_id, owner_id, kind, CASE WHEN n % 7 > 0 THEN 'Name ' || n % 11 END,
        '{{"interval": "PT1H", "recurring": true, "schema": true}}',
        CASE WHEN n % 2 = 0 THEN '{{a,b}}' ELSE '{{b}}' END ::text[],
        CASE WHEN n % 3 = 0 THEN '{{5}}' ELSE '{{}}' END ::bigint[], status, now(),
        CASE WHEN status = 'active' AND kind = 'scheduled'
            THEN timestamptz '2100-01-01' + (n % 5) * interval '1 day' END,
        CASE WHEN n % 5 > 0 THEN timestamptz '2020-01-01' + (n % 9) * interval '1 day' END,
        CASE WHEN status = 'paused' AND n % 2 = 0 THEN 'broken' END
    FROM generate_series(1, 60) AS n,
        LATERAL (SELECT CASE WHEN n % 3 = 1 THEN {BOB} ELSE {ADA} END,
            CASE WHEN n % 4 = 0 THEN 'api' ELSE 'scheduled' END,
            (ARRAY['active', 'active', 'paused', 'completed'])[1 + n / 3 % 4]
        ) AS made (owner_id, kind, status)
"""
FILL_TAGS = """
    INSERT INTO trigger_tags (shard, owner_id, tag, trigger_id)
    SELECT shard, owner_id, unnest(tags), id FROM triggers
"""
# some wait for a ping, or are silent: they have no deadline
FILL_HEARTBEATS = f"""
    INSERT INTO triggers (shard, owner_id, type, details, tags, status, anchor_at, next_fire_at,
        last_ping_at, silent_since)
    SELECT {ADA}, {ADA}, 'heartbeat', '{{"interval": "PT1H", "grace": "PT5M"}}', '{{}}',
        CASE WHEN n % 5 = 0 THEN 'paused' ELSE 'active' END, now(),
        CASE WHEN n % 5 > 2 THEN timestamptz '2100-01-01' + (n % 3) * interval '1 day' END,
        CASE WHEN n % 5 <> 1 THEN now() END, CASE WHEN n % 5 = 2 THEN now() END
    FROM generate_series(1, 20) AS n
"""
FILTERS = {
    "none": TriggerFilter(),
    "kind": TriggerFilter(type=TriggerType.SCHEDULED, status=TriggerStatus.ACTIVE),
    "paused": TriggerFilter(status=TriggerStatus.PAUSED),
    "called": TriggerFilter(type=TriggerType.API),
    "tags": TriggerFilter(tags=("a", "b"), q="nAmE"),
    "destination": TriggerFilter(destination_id=5, failing=False),
    "failing": TriggerFilter(failing=True),
    "ids": TriggerFilter(ids=range(1, 40)),
}


@pytest.fixture
def service(own_service: Service) -> Service:
    """Its triggers have the ids from 1."""
    return own_service


async def follow_all(sessions: Sessions) -> None:
    follower = TriggerFollower(sessions)
    while await follower.follow() is not None:
        pass


@pytest.fixture
async def engine(database_url: str, database: Any) -> AsyncIterator[AsyncEngine]:
    """Holds Ada's and Bob's triggers, with the tables of lists as the job writes them."""
    await database.execute(FILL)
    await database.execute(FILL_TAGS)
    engine = create_engine(database_url)
    await follow_all(create_sessions(engine))
    yield engine
    await engine.dispose()


async def ids_of(session: AsyncSession, most: int, limit: int, *query: Any) -> list[int]:
    """Gives the ids of a list, read in pages."""
    found: list[int] = []
    after: SortPosition | None = None
    while True:
        lists = SortedTriggers(session, ADA, most)
        page = await lists.list_page(*query, after=after, limit=limit)
        found += [one.position.id for one in page.rows]
        if not page.more:
            return found
        after = page.rows[-1].position


def in_order(triggers: list[dict[str, Any]], sort: TriggerSort) -> list[int]:
    """Sorts triggers as the contract says: nulls last, ties by id."""
    by, down = sort.column, not sort.ascending
    values = {one["id"]: one[by] and str(one[by]).lower() for one in triggers}
    there = sorted((value, one) for one, value in values.items() if value is not None)
    missing = sorted(one for one, value in values.items() if value is None)
    return [one for _, one in (there[::-1] if down else there)] + (
        missing[::-1] if down else missing
    )


async def test_every_order_is_the_same_sorted_and_along_an_index(
    engine: AsyncEngine, ada: httpx.AsyncClient
) -> None:
    triggers = await read_all(ada, "/triggers")

    over_http = {sort: await read_all(ada, "/triggers", sort=sort, limit=7) for sort in BY_VALUE}
    async with create_sessions(engine)() as session:
        along = {sort: await ids_of(session, -1, 7, TriggerFilter(), sort) for sort in BY_VALUE}

    assert len(triggers) == 40
    expected = {sort: in_order(triggers, sort) for sort in BY_VALUE}
    assert {sort: [one["id"] for one in rows] for sort, rows in over_http.items()} == expected
    assert along == expected


async def test_every_filter_goes_with_every_order(engine: AsyncEngine) -> None:
    for sort, (name, wanted), limit in product(BY_VALUE, FILTERS.items(), (3, 100)):
        async with create_sessions(engine)() as session:
            few = await ids_of(session, MOST_SORTED, limit, wanted, sort)
            along = await ids_of(session, NONE_SORTED, limit, wanted, sort)

        assert few, name
        assert along == few, (name, sort)


async def test_heartbeats_go_with_every_order_too(engine: AsyncEngine, database: Any) -> None:
    await database.execute(FILL_HEARTBEATS)
    await follow_all(create_sessions(engine))
    kinds = TriggerFilter(type=TriggerType.HEARTBEAT), TriggerFilter(status=TriggerStatus.ACTIVE)

    for sort, wanted, limit in product(BY_VALUE, (*kinds, TriggerFilter()), (3, 100)):
        async with create_sessions(engine)() as session:
            few = await ids_of(session, MOST_SORTED, limit, wanted, sort)
            along = await ids_of(session, NONE_SORTED, limit, wanted, sort)

        assert len(few) >= 16
        assert along == few, (wanted, sort)


@pytest.mark.parametrize(
    ("sort", "indexes"),
    [
        ("next_fire_at", {"ix_triggers_due", "ix_triggers_owner_kind"}),
        ("last_fired_at", {"ix_trigger_sort_keys_fired"}),
        ("name", {"ix_trigger_sort_keys_name"}),
    ],
)
async def test_many_triggers_are_read_along_an_index_of_the_order(
    engine: AsyncEngine, sort: str, indexes: set[str]
) -> None:
    for direction, after in product(("", "-"), (None, SortPosition(None, 20))):

        async def work(
            session: AsyncSession, direction: str = direction, after: Any = after
        ) -> None:
            lists = SortedTriggers(session, ADA, NONE_SORTED)
            await lists.list_page(
                TriggerFilter(q="z"), TriggerSort(direction + sort), after=after, limit=100
            )

        plans = [plan for plan in await plans_of(engine, work) if "Limit" in plan]
        used = {index for index in indexes for plan in plans if index in plan}

        assert used == (indexes if after is None else indexes - {"ix_triggers_due"})


@pytest.mark.parametrize("sort", [one for one in BY_VALUE if one.column != "next_fire_at"])
async def test_names_are_compared_before_triggers_are_read(
    engine: AsyncEngine, sort: TriggerSort
) -> None:
    async def work(session: AsyncSession) -> None:
        lists = SortedTriggers(session, ADA, NONE_SORTED)
        await lists.list_page(TriggerFilter(q="z"), sort, after=None, limit=100)

    plans = [plan for plan in await plans_of(engine, work) if "trigger_sort_keys" in plan]

    assert len(plans) == 2  # of triggers with a value, and of those without
    assert all("(sort_name ~~" in plan for plan in plans)


async def test_a_sorted_page_is_planned_for_its_project(engine: AsyncEngine) -> None:
    async with create_sessions(engine)() as session:
        for _ in range(8):  # from the sixth on, PostgreSQL may keep one plan for all projects
            lists = SortedTriggers(session, ADA, NONE_SORTED)
            await lists.list_page(TriggerFilter(), TriggerSort("name"), after=None, limit=5)
        kept, planned = (await session.execute(text(COUNT_PLANS))).one()

    assert (kept, planned >= 8) == (0, True)


async def test_a_sorted_page_is_read_by_one_process_of_the_server(engine: AsyncEngine) -> None:
    async with create_sessions(engine)() as session:
        lists = SortedTriggers(session, ADA)
        await lists.list_page(TriggerFilter(), TriggerSort("name"), after=None, limit=5)
        workers = await session.scalar(text("SHOW max_parallel_workers_per_gather"))

    assert workers == "0"


async def test_ids_go_up_or_down(ada: httpx.AsyncClient, overseer: httpx.AsyncClient) -> None:
    made = [(await make_api(ada, tags=["t"]))["id"] for _ in range(5)]

    for client, filters in product((ada, overseer), ({}, {"tag": "t"}, {"type": "api"})):
        up = await read_all(client, "/triggers", sort="id", limit=2, **filters)
        down = await read_all(client, "/triggers", sort="-id", limit=2, **filters)

        assert [one["id"] for one in up] == made
        assert [one["id"] for one in down] == made[::-1]


async def test_pages_of_a_sorted_list_keep_their_place_while_triggers_change(
    ada: httpx.AsyncClient,
) -> None:
    made = [(await make_api(ada, name=f"n{number}"))["id"] for number in range(8)]
    seen: list[int] = []
    url = "/triggers?sort=name&limit=3"

    while url:
        answer = await ada.get(url)
        seen += [trigger["id"] for trigger in answer.json()]
        url = answer.links.get("next", {}).get("url", "")
        await make_api(ada, name="N0 new")
        await ada.delete(f"/triggers/{seen[-1]}")

    assert seen == made


async def test_a_cursor_is_of_one_order_only(ada: httpx.AsyncClient) -> None:
    for _ in range(2):
        await make_api(ada, name="ä\n" * 100)
    cursors = {}
    for sort in TriggerSort:
        link = (await ada.get("/triggers", params={"sort": sort, "limit": 1})).links["next"]["url"]
        cursors[sort] = httpx.URL(link).params["cursor"]

    for sort, other in product(TriggerSort, TriggerSort):
        answer = await ada.get("/triggers", params={"sort": sort, "cursor": cursors[other]})

        if sort == other:
            assert len(answer.json()) == 1
        else:
            assert places_of(answer) == ["cursor"], (sort, other)
    for forged in (["name", "\0", 1], ["name", 1, 1], ["name", "a", -1], ["name", "a"], ["name"]):
        query = {"sort": "name", "cursor": encode_cursor(*forged)}
        assert places_of(await ada.get("/triggers", params=query)) == ["cursor"]


async def test_what_has_no_index_for_all_projects_is_refused(
    overseer: httpx.AsyncClient,
) -> None:
    for name, value in (("sort", "name"), ("sort", "-next_fire_at"), ("key", "a")):
        answer = await overseer.get("/triggers", params={name: value})

        assert places_of(answer) == [name]
        assert "X-Project-ID" in answer.json()["detail"]


async def test_a_job_adds_what_firing_and_older_replicas_leave_out(
    engine: AsyncEngine, database: Any
) -> None:
    await database.execute("UPDATE triggers SET name = 'Z', last_fired_at = now() WHERE id = 2")
    await database.execute("DELETE FROM triggers WHERE id = 3")
    await database.execute("DELETE FROM trigger_sort_keys WHERE trigger_id = 5")
    await database.execute("DELETE FROM trigger_destinations WHERE trigger_id = 6")
    await database.execute("UPDATE triggers SET destination_ids = '{7}' WHERE id = 9")
    await database.execute(f"UPDATE triggers SET destination_ids = '{{5}}' WHERE owner_id = {BOB}")
    await follow_all(create_sessions(engine))
    await database.execute(f"DELETE FROM triggers WHERE owner_id = {BOB}")

    await follow_all(create_sessions(engine))

    keys = "SELECT trigger_id, sort_name, last_fired_at FROM trigger_sort_keys ORDER BY 1"
    rows = "SELECT id, lower(name), last_fired_at FROM triggers ORDER BY 1"
    assert await database.fetch(keys) == await database.fetch(rows)
    pairs = "SELECT trigger_id, destination_id FROM trigger_destinations ORDER BY 1, 2"
    sent = "SELECT id, unnest(destination_ids) FROM triggers ORDER BY 1, 2"
    assert await database.fetch(pairs) == await database.fetch(sent)


async def test_the_job_reads_no_rows_of_other_batches(engine: AsyncEngine) -> None:
    follower = TriggerFollower(create_sessions(engine))

    plans = await plans_of(engine, lambda _: follower.follow())

    writing = "\n".join(plans[-2:])
    scans = re.findall(r" on trigger_(?:sort_keys|destinations)\b.*\n +(.+)", writing)
    read = [one for one in scans if "Cond" in one]
    assert len(read) >= 6
    assert all("trigger_id" in one for one in read), writing


@one_server("Citus lets no two such changes of one part run at once")
async def test_the_job_keeps_a_name_that_changes_while_it_reads(
    engine: AsyncEngine, ada: httpx.AsyncClient, database: Any, database_url: str
) -> None:
    made = (await make_api(ada, name="Former"))["id"]
    await database.execute("UPDATE triggers SET last_fired_at = now() WHERE id = $1", made)
    await database.execute("DELETE FROM trigger_destinations WHERE trigger_id = 6")
    holder = await connect(database_url)

    async with holder.transaction():
        await holder.execute(
            "INSERT INTO trigger_destinations (shard, owner_id, destination_id, trigger_id)"
            " SELECT shard, owner_id, 5, id FROM triggers WHERE id = 6"
        )
        following = asyncio.create_task(follow_all(create_sessions(engine)))
        await until_somebody_waits(database)
        await change(ada, made, {"name": "Latter"})
    await following
    await holder.close()

    name = "SELECT sort_name FROM trigger_sort_keys WHERE trigger_id = $1"
    assert await database.fetchval(name, made) == "latter"


async def test_changes_are_sorted_at_once(
    ada: httpx.AsyncClient, service: Any, database: Any
) -> None:
    made = [(await make_scheduled(ada, name=name))["id"] for name in ("b", "a", "c")]
    await change(ada, made[0], {"name": "Z"})
    await change(ada, made[1], {"name": None})
    await ada.delete(f"/triggers/{made[2]}")

    rows = await database.fetch("SELECT trigger_id, sort_name FROM trigger_sort_keys ORDER BY 1")

    assert [tuple(row) for row in rows] == [(made[0], "z"), (made[1], None)]
