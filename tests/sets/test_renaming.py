"""A file gives members other keys, and they stay what they are."""

from typing import Any

import httpx

from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.sets import is_empty, names_in, plan_set, put_set
from tests.support.triggers import make_api, read
from tests.support.waiting import eventually

URL = "https://1.1.1.1/hook"
EVERY = {"type": "scheduled", "details": {"interval": 30, "recurring": True}}
HOOKED = {"type": "api", "details": {"hook": {"verify": "token", "secret": "given-by-them"}}}
BEFORE: dict[str, Any] = {
    "destinations": {"crm": {"url": URL, "headers": {"X-A": "one"}}},
    "triggers": {
        "nightly": EVERY | {"destinations": ["crm"]},
        "order": HOOKED | {"destinations": ["crm"]},
    },
}
AFTER: dict[str, Any] = {
    "destinations": {"billing-crm": {"url": URL, "headers": {"X-A": "one"}}},
    "triggers": {
        "nightly-report": EVERY | {"destinations": ["billing-crm"]},
        "order-created": HOOKED | {"destinations": ["billing-crm"]},
    },
    "moved": [
        {"from": "nightly", "to": "nightly-report"},
        {"from": "order", "to": "order-created"},
        {"kind": "destination", "from": "crm", "to": "billing-crm"},
    ],
}


async def test_renamed_members_keep_ids_phase_urls_secrets_and_events(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await put_set(ada, "billing", BEFORE)
    crm, nightly, order = made["create"]
    path = order["hook_url"].removeprefix("http://service.test")
    token = {"Authorization": "Bearer given-by-them"}
    assert (await anonymous.post(path, headers=token)).status_code == 200
    secret = (await ada.get(f"/destinations/{crm['id']}/secret")).json()

    planned = await plan_set(ada, "billing", AFTER, prune="true")
    done = await put_set(ada, "billing", AFTER, prune="true")
    again = await put_set(ada, "billing", AFTER, prune="true")
    without = await plan_set(ada, "billing", {**AFTER, "moved": []}, prune="true")

    assert done["digest"] == planned["digest"]
    assert (planned["create"], planned["remove"]) == ([], [])
    assert {one["id"]: one["changes"] for one in planned["update"]} == {
        crm["id"]: [
            {"pointer": "#/destinations/billing-crm/key", "from": "crm", "to": "billing-crm"}
        ],
        nightly["id"]: [
            {"pointer": "#/triggers/nightly-report/key", "from": "nightly", "to": "nightly-report"}
        ],
        order["id"]: [
            {"pointer": "#/triggers/order-created/key", "from": "order", "to": "order-created"}
        ],
    }
    assert is_empty(again)
    assert is_empty(without)
    kept = await read(ada, nightly["id"])
    assert (kept["key"], kept["next_fire_at"]) == ("nightly-report", nightly["next_fire_at"])
    assert (await ada.get(f"/destinations/{crm['id']}/secret")).json() == secret
    assert (await anonymous.post(path, headers=token)).status_code == 200
    assert (await read(ada, order["id"]))["fire_count"] == 2
    events = (await ada.get("/events", params={"trigger_id": order["id"]})).json()
    assert len(events) == 2


async def test_a_renamed_member_may_change_at_once_and_give_up_its_destination(
    ada: httpx.AsyncClient,
) -> None:
    made = await put_set(ada, "billing", BEFORE)
    file = {
        "triggers": {"nightly-report": EVERY | {"name": "Nightly"}},
        "moved": [{"from": "nightly", "to": "nightly-report"}],
    }

    planned = await plan_set(ada, "billing", file, prune="true")
    seen = {"If-Match": f'"{planned["digest"]}"'}
    done = await ada.put("/sets/billing?prune=true", json=file, headers=seen)

    assert done.status_code == 200
    [updated] = done.json()["update"]
    assert updated["id"] == made["create"][1]["id"]
    assert [one["pointer"] for one in updated["changes"]] == [
        "#/triggers/nightly-report/destinations",
        "#/triggers/nightly-report/key",
        "#/triggers/nightly-report/name",
    ]
    assert [one["key"] for one in await read_all(ada, "/triggers")] == ["nightly-report"]


async def test_renamings_that_mean_nothing_are_refused_at_their_places(
    ada: httpx.AsyncClient, database: Any
) -> None:
    await put_set(ada, "billing", BEFORE)
    cases: list[tuple[list[dict[str, str]], list[str]]] = [
        ([{"from": "nightly", "to": "absent"}], ["#/moved/0/to"]),
        ([{"from": "order-created", "to": "nightly-report"}], ["#/moved/0/from"]),
        (
            [{"from": "a", "to": "nightly-report"}, {"from": "b", "to": "nightly-report"}],
            ["#/moved/1/to"],
        ),
        (
            [{"from": "a", "to": "nightly-report"}, {"from": "a", "to": "order-created"}],
            ["#/moved/1/from"],
        ),
        ([{"kind": "destination", "from": "crm", "to": "nightly-report"}], ["#/moved/0/to"]),
        ([{"kind": "calendar", "from": "a", "to": "b"}], ["#/moved/0/kind"]),
        ([{"from": "Nightly", "to": "nightly-report"}], ["#/moved/0/from"]),
    ]

    for moved, places in cases:
        refused = await ada.put("/sets/billing", json={**AFTER, "moved": moved})

        assert places_of(refused) == places, moved


async def test_only_a_member_of_the_set_is_renamed_and_no_key_is_taken_twice(
    ada: httpx.AsyncClient,
) -> None:
    await put_set(ada, "billing", BEFORE)
    await put_set(ada, "sales", {"triggers": {"theirs": {"type": "api"}}})
    by_hand = await make_api(ada, key="by-hand")
    mine = {"triggers": {"mine": {"type": "api"}, "other": {"type": "api"}}}
    moved = [{"from": "theirs", "to": "mine"}, {"from": "by-hand", "to": "other"}]
    taken = await make_api(ada, key="nightly-report")

    made = await put_set(ada, "mine", {**mine, "moved": moved})
    refused = await ada.put("/sets/billing", json=AFTER)

    assert names_in(made["create"]) == ["trigger/mine", "trigger/other"]
    assert (await read(ada, by_hand["id"]))["key"] == "by-hand"
    assert problem_of(refused, 409)["type"].endswith("owned-elsewhere")
    assert places_of(refused, 409) == ["#/moved/0"]
    assert (await read(ada, taken["id"]))["key"] == "nightly-report"


async def test_a_trigger_that_is_done_and_gone_is_not_made_again_under_another_key(
    ada: httpx.AsyncClient, database: Any
) -> None:
    once = {"type": "scheduled", "details": {"interval": "PT1S"}, "on_completion": "delete"}
    await put_set(ada, "billing", {"triggers": {"once": once}})
    await eventually(lambda: read_all(ada, "/triggers"), lambda left: left == [])
    file = {"triggers": {"only-once": once}, "moved": [{"from": "once", "to": "only-once"}]}

    renamed = await put_set(ada, "billing", file)
    later = await plan_set(ada, "billing", {"triggers": {"only-once": once}})

    assert is_empty(renamed)
    assert is_empty(later)
    assert await database.fetchval("SELECT key FROM finished_members") == "only-once"


async def test_a_prune_of_more_than_half_needs_the_digest_of_its_plan(
    ada: httpx.AsyncClient, database: Any
) -> None:
    members = {f"job-{n}": {"type": "api"} for n in range(4)}
    await put_set(ada, "jobs", {"triggers": members})
    most = {"triggers": {"job-0": {"type": "api"}}}
    half = {"triggers": {"job-0": {"type": "api"}, "job-1": {"type": "api"}}}
    before = await database.fetch("SELECT * FROM triggers ORDER BY id")

    planned = await plan_set(ada, "jobs", most, prune="true")
    unseen = await ada.put("/sets/jobs?prune=true", json=most)
    any_set = await ada.put("/sets/jobs?prune=true", json=most, headers={"If-Match": "*"})
    after = await database.fetch("SELECT * FROM triggers ORDER BY id")
    of_half = await plan_set(ada, "jobs", half, prune="true")
    seen = {"If-Match": f'"{planned["digest"]}"'}
    pruned = await ada.put("/sets/jobs?prune=true", json=most, headers=seen)

    assert planned["removes_most"]
    assert not of_half["removes_most"]
    for answer in (unseen, any_set):
        assert problem_of(answer, 409)["type"].endswith("prune-unseen")
        assert "remove 3 of the 4 members" in answer.json()["detail"]
    assert after == before
    assert len(pruned.json()["remove"]) == 3


async def test_a_schedule_that_is_written_otherwise_keeps_its_phase_when_others_change(
    ada: httpx.AsyncClient,
) -> None:
    await put_set(ada, "jobs", {"triggers": {"every": EVERY}})
    before = (await ada.get("/triggers/by-key/every")).json()["next_fire_at"]
    same = {"type": "scheduled", "details": {"interval": "PT30M", "recurring": True}}

    done = await put_set(ada, "jobs", {"triggers": {"every": same | {"name": "Every"}}})

    assert [one["pointer"] for one in done["update"][0]["changes"]] == ["#/triggers/every/name"]
    assert (await ada.get("/triggers/by-key/every")).json()["next_fire_at"] == before
    assert done["update"][0]["next_fire_at"] == before
