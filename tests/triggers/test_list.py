"""The list of triggers is newest first, has each trigger once, and follows its filters."""

from typing import Any

import httpx
import pytest

from tests.support.problems import places_of
from tests.support.reading import read_all
from tests.support.triggers import ONLY_WRITTEN, make_api, make_scheduled

PAST = "2025-03-13T10:00:00Z"


async def ids(client: httpx.AsyncClient, **filters: Any) -> list[int]:
    return [trigger["id"] for trigger in await read_all(client, "/triggers", **filters)]


async def names(client: httpx.AsyncClient, **filters: Any) -> list[str]:
    return [trigger["name"] for trigger in await read_all(client, "/triggers", **filters)]


async def test_without_triggers_the_list_is_empty(ada: httpx.AsyncClient) -> None:
    answer = await ada.get("/triggers")

    assert (answer.status_code, answer.json()) == (200, [])
    assert "link" not in answer.headers


async def test_the_newest_comes_first_as_it_reads_by_itself(ada: httpx.AsyncClient) -> None:
    made = [await make_api(ada, name=name, payload={"n": name}) for name in "abc"]

    listed = (await ada.get("/triggers")).json()

    assert [{**one, **ONLY_WRITTEN} for one in listed] == made[::-1]


async def test_filters_select_and_combine(ada: httpx.AsyncClient) -> None:
    api = await make_api(ada, name="call me", tags=["a", "b"])
    daily = await make_scheduled(ada, name="Daily call", tags=["b"])
    over = await make_scheduled(ada, {"time": PAST}, name="over", tags=["A"])
    await ada.post(f"/triggers/{api['id']}/pause")

    found = {
        "all": await ids(ada),
        "api": await ids(ada, type="api"),
        "scheduled": await ids(ada, type="scheduled"),
        "active": await ids(ada, status="active"),
        "paused": await ids(ada, status="paused"),
        "completed": await ids(ada, status="completed"),
        "tag a": await ids(ada, tag="a"),
        "tag b": await ids(ada, tag="b"),
        "tag ab": await ids(ada, tag="ab"),
        "q": await ids(ada, q="CALL"),
        "q and tag": await ids(ada, q="call", tag="b", type="scheduled"),
        "nothing": await ids(ada, status="paused", type="scheduled"),
        "empty q": await ids(ada, q=""),
    }

    assert found == {
        "all": [over["id"], daily["id"], api["id"]],
        "api": [api["id"]],
        "scheduled": [over["id"], daily["id"]],
        "active": [daily["id"]],
        "paused": [api["id"]],
        "completed": [over["id"]],
        "tag a": [api["id"]],
        "tag b": [daily["id"], api["id"]],
        "tag ab": [],
        "q": [daily["id"], api["id"]],
        "q and tag": [daily["id"]],
        "nothing": [],
        "empty q": [over["id"], daily["id"], api["id"]],
    }


async def test_triggers_are_found_by_tags_ids_destination_and_key(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient, database: Any
) -> None:
    url = "https://1.1.1.1/hook"
    target = (await ada.post("/destinations", json={"url": url})).json()["id"]
    both = await make_api(ada, tags=["a", "b", "c"], destinations=[target])
    one = await make_api(ada, tags=["a"], destinations=[target])
    broken = await make_scheduled(ada, tags=["b"], name="broken")
    rerouted = await make_api(ada, destinations=[target])
    await ada.patch(f"/triggers/{rerouted['id']}", json={"destinations": []})
    await database.execute("UPDATE triggers SET key = 'k' WHERE id = $1", one["id"])
    await database.execute(
        "UPDATE triggers SET status = 'paused', error = 'x' WHERE id = $1", broken["id"]
    )

    found = {}
    for client, sort in ((ada, "-id"), (ada, "-name"), (overseer, "-id")):
        found = {
            "tags": await ids(client, sort=sort, tag=["a", "b"]),
            "a tag twice": await ids(client, sort=sort, tag=["b", "b"], q="bro"),
            "ids": await ids(client, sort=sort, id=[one["id"], 987, both["id"]]),
            "ids and tag": await ids(client, sort=sort, id=[one["id"], both["id"]], tag="b"),
            "destination": await ids(client, sort=sort, destination_id=target),
            "no destination": await ids(client, sort=sort, destination_id=987),
            "failing": await ids(client, sort=sort, failing="true"),
            "not failing": await ids(client, sort=sort, failing="false", tag="b"),
        }

        assert found == {
            "tags": [both["id"]],
            "a tag twice": [broken["id"]],
            "ids": [one["id"], both["id"]],
            "ids and tag": [both["id"]],
            "destination": [one["id"], both["id"]],
            "no destination": [],
            "failing": [broken["id"]],
            "not failing": [both["id"]],
        }, sort
    keys = [await ids(ada, key=key, sort=sort) for key in ("k", "x") for sort in ("-id", "name")]
    await ada.delete(f"/destinations/{target}")
    assert keys == [[one["id"]], [one["id"]], [], []]
    assert await ids(ada, destination_id=target) == []
    assert await database.fetchval("SELECT count(*) FROM trigger_destinations") == 0


async def test_a_summary_has_neither_payload_nor_schema(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient
) -> None:
    schema = {"type": "object"}
    await make_scheduled(ada, {"interval": 30, "schema": schema}, payload={"a": 1})
    [full] = await read_all(ada, "/triggers", view="full")
    del full["payload"], full["details"]["schema"]

    summaries = [
        await read_all(client, "/triggers", view="summary", **more)
        for client, more in ((ada, {}), (ada, {"sort": "name"}), (overseer, {}))
    ]

    assert summaries == [[full]] * 3


async def test_q_looks_for_characters_and_knows_no_wildcards(ada: httpx.AsyncClient) -> None:
    for name in ("100%", "100 per cent", "a_b", "axb", r"c:\d", "c:/d", "É", "it's"):
        await make_api(ada, name=name)
    await make_api(ada)

    found = {
        q: await names(ada, q=q)
        for q in ("%", "0%", "_", "a_b", "\\", r"\d", "/", "É", "'", "%%", "x%", "cent", "//")
    }

    assert found == {
        "%": ["100%"],
        "0%": ["100%"],
        "_": ["a_b"],
        "a_b": ["a_b"],
        "\\": [r"c:\d"],
        r"\d": [r"c:\d"],
        "/": ["c:/d"],
        "É": ["É"],
        "'": ["it's"],
        "%%": [],
        "x%": [],
        "cent": ["100 per cent"],
        "//": [],
    }


async def test_tags_are_looked_for_as_they_are(ada: httpx.AsyncClient) -> None:
    odd = ['{"a",b}', "a,b", "%", "\\", "NULL", "ü&=+ #"]
    made = [await make_api(ada, tags=[tag]) for tag in odd]

    found = [await ids(ada, tag=tag) for tag in odd]

    assert found == [[one["id"]] for one in made]


async def test_a_trigger_is_found_by_the_tags_that_it_has_now(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient, database: Any
) -> None:
    kept, changed, gone = [
        await make_api(ada, tags=["a", "b"]) for _ in ("kept", "changed", "gone")
    ]
    path = f"/triggers/{changed['id']}"

    found = []
    patches: list[dict[str, Any]] = [
        {"tags": ["b", "c"]},
        {"tags": ["c", "b"]},
        {"name": "x"},
        {"tags": []},
    ]
    for patch in patches:
        assert (await ada.patch(path, json=patch)).status_code == 200
        found.append([await ids(ada, tag=tag) for tag in "abc"])
    await ada.delete(f"/triggers/{gone['id']}")
    left = [await ids(overseer, tag=tag) for tag in "abc"]
    stored = await database.fetch("SELECT trigger_id, tag FROM trigger_tags ORDER BY 1, 2")

    one, two, three = kept["id"], changed["id"], gone["id"]
    retagged = [[three, one], [three, two, one], [two]]
    assert found == [retagged, retagged, retagged, [[three, one], [three, one], []]]
    assert left == [[one], [one], []]
    assert [tuple(row) for row in stored] == [(one, "a"), (one, "b")]


async def test_no_trigger_is_found_by_a_tag_that_an_older_replica_took_from_it(
    ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await make_api(ada, tags=["a"])
    await database.execute("UPDATE triggers SET tags = '{b}'")
    before = [await ids(ada, tag=tag) for tag in "ab"]

    await ada.patch(f"/triggers/{trigger['id']}", json={"tags": ["b"]})

    assert before == [[], []]
    assert [await ids(ada, tag=tag) for tag in "ab"] == [[], [trigger["id"]]]


@pytest.mark.parametrize("query", ["q=n&type=api", "tag=t", "tag=t&q=n&status=active"])
async def test_pages_walk_everything_once_while_new_ones_arrive_and_old_ones_go(
    ada: httpx.AsyncClient, query: str
) -> None:
    made = [(await make_api(ada, name=f"n{number}", tags=["t"]))["id"] for number in range(11)]
    seen: list[int] = []
    url = f"/triggers?limit=3&{query}"

    while url:
        answer = await ada.get(url)
        seen += [trigger["id"] for trigger in answer.json()]
        url = answer.links.get("next", {}).get("url", "")
        await make_api(ada, name="new", tags=["t"])
        await ada.delete(f"/triggers/{seen[-1]}")

    assert seen == made[::-1]


async def test_a_full_last_page_has_no_next_one(ada: httpx.AsyncClient) -> None:
    made = [(await make_api(ada))["id"] for _ in range(4)]

    first = await ada.get("/triggers", params={"limit": 2})
    last = await ada.get(first.links["next"]["url"])

    assert [one["id"] for one in first.json() + last.json()] == made[::-1]
    assert "next" not in last.links
    assert first.headers["link"].startswith("<http://service.test/triggers?limit=2&cursor=")


async def test_the_next_link_keeps_the_filters(ada: httpx.AsyncClient) -> None:
    odd = "50% & a+b=c_ü"
    made = [(await make_api(ada, name=odd, tags=[odd]))["id"] for _ in range(3)]
    await make_api(ada, name="other")

    found = await ids(ada, limit=1, q=odd, tag=odd)

    assert found == made[::-1]


async def test_limits_and_cursors_that_are_none_are_refused(ada: httpx.AsyncClient) -> None:
    for name, value in (
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("cursor", "x"),
        ("cursor", "é"),
        ("cursor", "W10"),  # []
        ("cursor", "WyJhIl0"),  # ["a"]
        ("cursor", "Wy0xXQ"),  # [-1]
        ("cursor", "WzEsMl0"),  # [1,2]
        ("cursor", "W3RydWVd"),  # [true]
        ("cursor", "WzkyMjMzNzIwMzY4NTQ3NzU4MDhd"),  # [2**63]
        ("cursor", "x" * 201),
        ("type", "API"),
        ("status", "done"),
        ("tag", "x" * 51),
        ("tag", "\0"),
        ("q", "\0"),
        ("q", "x" * 201),
        ("tag", ["t"] * 21),
        ("id", "0"),
        ("id", ["1", "x"]),
        ("id", ["1"] * 101),
        ("key", "x" * 201),
        ("destination_id", "-1"),
        ("failing", "perhaps"),
        ("sort", "payload"),
        ("view", "short"),
    ):
        answer = await ada.get("/triggers", params={name: value})

        assert places_of(answer) == [name], (name, value)
    assert (await ada.get("/triggers", params={"limit": 1})).status_code == 200
    assert (await ada.get("/triggers", params={"limit": 1000})).status_code == 200


async def test_a_page_has_a_hundred_unless_told(ada: httpx.AsyncClient) -> None:
    for _ in range(101):
        await make_api(ada)

    answer = await ada.get("/triggers")

    assert len(answer.json()) == 100
    assert "next" in answer.links
