"""An action applies to many triggers as the single operations do, in one transaction."""

import asyncio
from typing import Any

import httpx
import pytest

from event_trigger.actions import schemas
from tests.support.destinations import make_destination
from tests.support.keys import holding, make_key
from tests.support.locks import locked_trigger, until_somebody_waits
from tests.support.planting import plant_triggers
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.services import Service
from tests.support.triggers import make_api, make_scheduled, read

NOBODYS = 987_654_321
PAST = "2025-03-13T10:00:00Z"
PROBLEM = "urn:event-trigger:problem:"
URL = "https://1.1.1.1/hook"


@pytest.fixture
def service(idle: Service) -> Service:
    """A service whose schedules do not fire while a test looks."""
    return idle


async def act(client: httpx.AsyncClient, action: str, **body: Any) -> dict[str, Any]:
    answer = await client.post("/triggers/actions", json={"action": action, **body})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def make_due(database: Any) -> int:
    """Inserts a trigger with an instant that is due and not settled."""
    [trigger_id] = await plant_triggers(database)
    await database.execute(
        "UPDATE triggers SET settled_until = anchor_at WHERE id = $1", trigger_id
    )
    return trigger_id


def counts(result: dict[str, Any]) -> tuple[int, int, dict[int, int]]:
    failed = {one["id"]: one["problem"]["status"] for one in result["failed"]}
    return result["matched"], result["changed"], failed


async def test_triggers_are_paused_and_resumed_as_single_ones_are(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient, database: Any
) -> None:
    scheduled, api, single = await make_scheduled(ada), await make_api(ada), await make_api(ada)
    done, foreign = await make_scheduled(ada, {"time": PAST}), await make_api(bob)
    due = await make_due(database)
    await ada.post(f"/triggers/{single['id']}/pause")
    ids = [NOBODYS, scheduled["id"], api["id"], single["id"], done["id"], foreign["id"], due, due]
    failing = {done["id"]: 409, foreign["id"]: 404, NOBODYS: 404}

    planned = await act(ada, "pause", ids=ids, dry_run=True)
    untouched = await read(ada, scheduled["id"])
    paused = await act(ada, "pause", ids=ids)
    statuses = [(await read(ada, one))["status"] for one in (scheduled["id"], api["id"], due)]
    unfired = await database.fetchval(
        "SELECT count(*) FROM unfired_ranges WHERE trigger_id=$1", due
    )
    resumed = await act(ada, "resume", ids=ids)

    assert counts(paused) == (5, 3, failing)
    assert planned == paused
    assert untouched["status"] == "active"
    assert statuses == ["paused"] * 3
    assert unfired == 1
    assert counts(resumed) == (5, 4, failing)
    again = await read(ada, scheduled["id"])
    assert (again["status"], again["next_fire_at"]) == ("active", scheduled["next_fire_at"])
    entries = (await admin.get("/audit", params={"target_id": scheduled["id"]})).json()
    assert [(one["action"], one["before"], one["after"]) for one in entries[:2]] == [
        ("act_on_triggers", {"status": "paused"}, {"status": "active"}),
        ("act_on_triggers", {"status": "active"}, {"status": "paused"}),
    ]


async def test_deleted_triggers_leave_what_single_deletions_leave(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, database: Any
) -> None:
    hooked = await make_api(ada, details={"hook": {"verify": "none"}}, tags=["a", "b"])
    due = await make_due(database)
    kept = await make_api(ada, tags=["a"])

    result = await act(ada, "delete", ids=[hooked["id"], due])

    assert counts(result) == (2, 2, {})
    assert [one["id"] for one in await read_all(ada, "/triggers")] == [kept["id"]]
    assert [one["id"] for one in await read_all(ada, "/triggers", tag="a")] == [kept["id"]]
    assert await database.fetchval("SELECT count(*) FROM hooks") == 0
    left = "SELECT count(*) FROM {} WHERE trigger_id = $1"
    for table in ("schedule_versions", "unfired_ranges"):
        assert await database.fetchval(left.format(table), due) == 1
    [entry] = (await admin.get("/audit", params={"target_id": hooked["id"], "limit": 1})).json()
    assert (entry["before"]["tags"], entry["after"]) == (["a", "b"], None)


async def test_triggers_are_tagged_and_untagged(ada: httpx.AsyncClient) -> None:
    first, second = await make_api(ada, tags=["x"]), await make_api(ada, tags=["b", "x"])
    full = await make_api(ada, tags=[str(number) for number in range(20)])
    ids = [first["id"], second["id"], full["id"]]

    tagged = await act(ada, "tag", ids=ids, tags=["a", "b"])
    found = [one["id"] for one in await read_all(ada, "/triggers", tag="a")]
    again = await act(ada, "tag", ids=ids[:2], tags=["a", "b"])
    untagged = await act(ada, "untag", filter={"tag": ["a"]}, tags=["b", "x", "c"])

    assert counts(tagged) == (3, 2, {full["id"]: 422})
    assert found == [second["id"], first["id"]]
    assert counts(again) == (2, 0, {})
    assert counts(untagged) == (2, 2, {})
    assert [(await read(ada, one))["tags"] for one in ids[:2]] == [["a"], ["a"]]
    assert await read_all(ada, "/triggers", tag="x") == []


async def test_destinations_are_set_by_those_who_may_name_them(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, service: Service
) -> None:
    destination, foreign = await make_destination(ada, URL), await make_destination(bob, URL)
    ids = [(await make_api(ada))["id"] for _ in range(2)]
    writer = holding(service, await make_key(ada, "triggers:write"))

    result = await act(ada, "set_destinations", ids=ids, destinations=[destination["id"]])
    body = {"action": "set_destinations", "ids": ids, "destinations": [foreign["id"]]}
    unknown = await ada.post("/triggers/actions", json=body)
    unread = await writer.post("/triggers/actions", json=body)
    emptied = await act(writer, "set_destinations", ids=ids[:1], destinations=[])

    assert counts(result) == (2, 2, {})
    assert places_of(unknown) == ["#/destinations/0"]
    assert problem_of(unread, 403)["type"] == f"{PROBLEM}missing-scope"
    assert counts(emptied) == (1, 1, {})
    found = [(await read(ada, one))["destinations"] for one in ids]
    assert found == [[], [destination["id"]]]


async def test_an_action_and_the_deletion_of_a_destination_wait_in_the_same_order(
    ada: httpx.AsyncClient, service: Service, database: Any
) -> None:
    destination = await make_destination(ada, URL)
    first = await make_scheduled(ada, destinations=[destination["id"]])
    second = await make_api(ada, destinations=[destination["id"]])
    ids = [first["id"], second["id"]]  # an index of the project's triggers has the second first

    async with locked_trigger(service.database_url, ids[1]):
        deleting = asyncio.create_task(ada.delete(f"/destinations/{destination['id']}"))
        await until_somebody_waits(database)
        pausing = asyncio.create_task(act(ada, "pause", ids=ids))
        await until_somebody_waits(database, 2)
    deleted, paused = await deleting, await pausing

    assert deleted.status_code == 204
    assert counts(paused) == (2, 2, {})
    assert [(await read(ada, one))["destinations"] for one in ids] == [[], []]


async def test_triggers_are_fired_and_tested(ada: httpx.AsyncClient) -> None:
    plain, paused = await make_api(ada, payload={"a": 1}), await make_api(ada, tags=["rest"])
    await ada.post(f"/triggers/{paused['id']}/pause")
    ids = [plain["id"], paused["id"]]

    planned = await act(ada, "fire", ids=ids, dry_run=True)
    none = await read_all(ada, "/events")
    fired = await act(ada, "fire", ids=ids)
    tested = await act(ada, "test", filter={"status": "paused"})

    assert counts(fired) == (2, 1, {paused["id"]: 409})
    assert (planned, none) == (fired, [])
    assert counts(tested) == (1, 1, {})
    events = await read_all(ada, "/events")
    assert [(one["trigger_id"], one["is_test"], one["payload"]) for one in events] == [
        (paused["id"], True, None),
        (plain["id"], False, {"a": 1}),
    ]


async def test_a_filter_is_that_of_the_list_and_matches_a_limited_number(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, database: Any
) -> None:
    await make_api(bob)
    chosen = await make_api(ada, name="Nightly report", tags=["bulk"])
    await make_api(ada, name="Nightly", tags=["other"])

    by_filter = await act(ada, "pause", filter={"q": "night", "type": "api", "tag": ["bulk"]})
    misspelt = await ada.post(
        "/triggers/actions", json={"action": "pause", "filter": {"stauts": "active"}}
    )
    await plant_triggers(database, schemas.MOST_ROWS)
    refused = await ada.post("/triggers/actions", json={"action": "delete", "filter": {}})
    most = await act(ada, "test", filter={"type": "scheduled"}, dry_run=True)

    assert counts(by_filter) == (1, 1, {})
    assert (await read(ada, chosen["id"]))["status"] == "paused"
    assert places_of(misspelt) == ["#/filter/stauts"]
    assert problem_of(refused, 422)["type"] == f"{PROBLEM}too-many-matched"
    assert counts(most) == (schemas.MOST_ROWS, schemas.MOST_ROWS, {})


async def test_an_action_needs_the_scopes_of_its_single_operation(
    ada: httpx.AsyncClient, service: Service
) -> None:
    made, other = await make_api(ada), await make_api(ada)
    firing = holding(service, await make_key(ada, "triggers:fire"))
    writing = holding(service, await make_key(ada, "triggers:write", "triggers:read"))
    limited = holding(service, await make_key(ada, trigger_ids=[made["id"]]))
    bodies: dict[str, dict[str, Any]] = {
        "pause": {"action": "pause", "ids": [made["id"]], "dry_run": True},
        "delete": {"action": "delete", "ids": [made["id"]], "dry_run": True},
        "filter": {"action": "pause", "filter": {}, "dry_run": True},
        "tag": {"action": "tag", "filter": {}, "tags": ["a"], "dry_run": True},
    }

    async def statuses(client: httpx.AsyncClient) -> list[int]:
        answers = [await client.post("/triggers/actions", json=one) for one in bodies.values()]
        return [one.status_code for one in answers]

    by_firing, by_writing = await statuses(firing), await statuses(writing)
    seen = await act(limited, "pause", ids=[made["id"], other["id"]])
    all_seen = await act(limited, "tag", filter={}, tags=["a"])

    assert by_firing == [200, 403, 403, 403]
    assert by_writing == [403, 200, 403, 200]
    assert counts(seen) == (1, 1, {other["id"]: 404})
    assert counts(all_seen) == (1, 1, {})


async def test_a_filter_takes_single_and_empty_values_as_the_list_does(
    ada: httpx.AsyncClient,
) -> None:
    night = await make_api(ada, name="nightly", tags=["bulk"])
    await make_api(ada, name="daily")
    filters: list[dict[str, Any]] = [
        {"tag": "bulk"},
        {"id": night["id"]},
        {"q": "night", "key": "", "status": "", "destination_id": "", "tag": "", "id": ""},
        {"q": "", "failing": ""},
        {},
    ]

    matched = [(await act(ada, "pause", filter=one, dry_run=True))["matched"] for one in filters]
    listed = [len((await ada.get("/triggers", params=one)).json()) for one in filters]

    assert matched == listed == [1, 1, 1, 2, 2]


async def test_a_body_says_what_is_wrong_with_it(ada: httpx.AsyncClient) -> None:
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"ids": [1]}, "#/action"),
        ({"action": "pause"}, "#"),
        ({"action": "pause", "ids": [1], "filter": {}}, "#"),
        ({"action": "pause", "ids": []}, "#/ids"),
        ({"action": "pause", "ids": [1] * 10_001}, "#/ids"),
        ({"action": "tag", "ids": [1]}, "#"),
        ({"action": "pause", "ids": [1], "tags": ["a"]}, "#"),
        ({"action": "set_destinations", "ids": [1]}, "#"),
        ({"action": "pause", "filter": {"status": "gone"}}, "#/filter/status"),
        ({"action": "delete", "filter": {"tag": []}}, "#/filter/tag"),
        ({"action": "delete", "filter": {"id": []}}, "#/filter/id"),
        ({"action": "delete", "filter": {"id": 0}}, "#/filter/id"),
        ({"action": "delete", "filter": {"id": [1, 0]}}, "#/filter/id/1"),
        ({"action": "delete", "filter": {"tag": 1}}, "#/filter/tag"),
        ({"action": "delete", "filter": {"tag": {}}}, "#/filter/tag"),
        ({"action": "delete", "filter": {"tags": ""}}, "#/filter/tags"),
        *(
            ({"action": "delete", "filter": {name: value}}, f"#/filter/{name}")
            for name, value in {"sort": "id", "view": "full", "limit": 1, "cursor": "a"}.items()
        ),
    ]

    places = [places_of(await ada.post("/triggers/actions", json=body)) for body, _ in bodies]

    assert places == [[place] for _, place in bodies]
