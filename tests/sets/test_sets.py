"""A set is planned, applied, read back and deleted as a whole."""

import asyncio
import threading
from typing import Any

import httpx
import pytest

from event_trigger.triggers import editing, payload_schema, stored_plans
from tests.support.one_server import one_server
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.services import Service, running_service
from tests.support.sets import get_set, is_empty, names_in, plan_set, prune_set, put_set
from tests.support.triggers import change, make_api, make_scheduled, read
from tests.support.waiting import eventually

URL = "https://1.1.1.1/hook"
CRM = {"url": URL, "headers": {"Authorization": "Bearer one"}, "rate_limit": 50}
NIGHTLY = {
    "type": "scheduled",
    "details": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
    "payload": {"report": "daily", "deep": {"a": 1}},
    "destinations": ["crm"],
}
HOOKED = {"type": "api", "details": {"hook": {"verify": "github"}}, "tags": ["b", "a"]}
FILE: dict[str, Any] = {
    "destinations": {"crm": CRM},
    "triggers": {"nightly": NIGHTLY, "order-created": HOOKED},
}


BAD_MEMBERS: list[tuple[str, Any, str]] = [
    ("triggers", {"type": "scheduled", "details": {"cron": "x"}}, "/details/cron"),
    ("triggers", {"type": "scheduled", "details": {"time": "x"}}, "/details/time"),
    ("triggers", {"type": "scheduled", "details": {}}, "/details"),
    ("triggers", {"details": {}}, "/type"),
    ("triggers", {"type": "api", "extra": 1}, "/extra"),
    ("triggers", {"type": "api", "key": "another"}, "/key"),
    ("triggers", {"type": "api", "status": "completed"}, "/status"),
    ("triggers", {"type": "api", "destinations": ["none"]}, "/destinations/0"),
    ("triggers", {"type": "api", "destinations": ["crm", 77]}, "/destinations/1"),
    (
        "triggers",
        {
            "type": "scheduled",
            "details": {"cron": "@daily", "schema": {"required": ["a"]}},
            "payload": {},
        },
        "/payload",
    ),
    ("triggers", [], ""),
    ("destinations", {}, "/url"),
    ("destinations", {"url": "https://127.0.0.1/"}, "/url"),
    ("destinations", {"url": URL, "timeout": 99}, "/timeout"),
    ("destinations", {"url": URL, "headers": {"X-A": "********"}}, "/headers"),
]


def without(file: dict[str, Any], kind: str, key: str) -> dict[str, Any]:
    """Gives the file without one member."""
    return file | {kind: {name: one for name, one in file[kind].items() if name != key}}


def with_member(file: dict[str, Any], kind: str, key: str, **fields: Any) -> dict[str, Any]:
    """Gives the file with some fields of one member changed."""
    return file | {kind: file[kind] | {key: file[kind].get(key, {}) | fields}}


async def rows_of(database: Any) -> list[Any]:
    """Gives all that a set could write."""
    tables = ("triggers", "destinations", "sets", "trigger_tags", "hooks", "audit_entries")
    return [await database.fetch(f"SELECT * FROM {one} ORDER BY 1, 2, 3") for one in tables]


async def test_a_file_is_planned_and_applied_and_then_there_is_nothing_to_do(
    ada: httpx.AsyncClient, database: Any
) -> None:
    before = await rows_of(database)

    planned = await plan_set(ada, "billing", FILE)
    after_plan = await rows_of(database)
    made = await put_set(ada, "billing", FILE)
    again = await put_set(ada, "billing", FILE)

    assert after_plan == before
    assert names_in(planned["create"]) == [
        *("destination/crm", "trigger/nightly", "trigger/order-created")
    ]
    assert [one["id"] for one in planned["create"]] == [None, None, None]
    assert made["digest"] == planned["digest"]
    crm, nightly, hooked = made["create"]
    assert nightly["next_fire_at"] == planned["create"][1]["next_fire_at"]
    assert crm["secret"].startswith("whsec_")
    assert hooked["hook_url"].startswith("http://service.test/hooks/")
    assert len(hooked["hook_secret"]) > 30
    assert is_empty(again)
    assert again["unchanged"] == 3
    trigger = await read(ada, nightly["id"])
    assert trigger["destinations"] == [crm["id"]]
    assert (trigger["key"], trigger["next_fire_at"]) == ("nightly", nightly["next_fire_at"])
    assert await database.fetchval("SELECT count(*) FROM trigger_tags") == 2


async def test_what_a_set_has_can_be_put_back_and_shows_no_secret(ada: httpx.AsyncClient) -> None:
    members = {
        "every": {"type": "scheduled", "details": {"interval": 30, "recurring": True}},
        "once": {"type": "scheduled", "details": {"time": "2100-01-01T10:00:00+02:00"}},
        "late": {"type": "scheduled", "details": {"interval": "PT2H", "recurring": False}},
        "paused": {"type": "scheduled", "details": {"cron": "@daily"}, "status": "paused"},
        "checked": {
            "type": "api",
            "name": "Checked",
            "details": {"schema": {"type": "object", "required": ["a"]}},
            "payload": {"a": 1.0, "n": None, "l": [1, {"x": True}]},
        },
        "plain": {"type": "api"},
    }
    file = FILE | {"triggers": FILE["triggers"] | members}
    made = await put_set(ada, "billing", file)

    shown = await get_set(ada, "billing")
    planned = await plan_set(ada, "billing", shown, prune="true")

    assert is_empty(planned)
    assert planned["unchanged"] == 9
    assert shown["destinations"]["crm"]["headers"] == {"Authorization": "********"}
    assert shown["triggers"]["paused"]["status"] == "paused"
    assert "status" not in shown["triggers"]["every"]
    assert shown["triggers"]["nightly"] == NIGHTLY
    secrets = [one["secret"] or one["hook_secret"] for one in made["create"]]
    assert not [one for one in secrets if one and one in str(shown)]
    assert not [one for one in secrets if one and one in str(planned)]
    assert "Bearer one" not in str([made, shown, planned])


async def test_a_changed_file_says_what_changes_and_when_it_fires_next(
    ada: httpx.AsyncClient,
) -> None:
    made = await put_set(ada, "billing", FILE)
    file = with_member(
        FILE,
        "triggers",
        "nightly",
        details={"cron": "45 2 * * *", "timezone": "Europe/Berlin"},
        payload={"report": "weekly", "deep": {"a": 1}},
        name="Nightly",
    )
    file = with_member(file, "destinations", "crm", headers={"Authorization": "Bearer two"})
    file = with_member(file, "triggers", "order-created", details={})

    planned = await plan_set(ada, "billing", file)
    done = await put_set(ada, "billing", file)

    assert done["digest"] == planned["digest"]
    assert planned["update"] == done["update"]
    crm, nightly, hooked = planned["update"]
    stars = "********"
    assert crm["changes"] == [
        {"pointer": "#/destinations/crm/headers/Authorization", "from": stars, "to": stars}
    ]
    assert {one["pointer"]: (one["from"], one["to"]) for one in nightly["changes"]} == {
        "#/triggers/nightly/details/cron": ("30 2 * * *", "45 2 * * *"),
        "#/triggers/nightly/payload/report": ("daily", "weekly"),
        "#/triggers/nightly/name": (None, "Nightly"),
    }
    assert [one["pointer"] for one in hooked["changes"]] == ["#/triggers/order-created/details"]
    trigger = await read(ada, nightly["id"])
    assert nightly["id"] == made["create"][1]["id"]
    assert trigger["next_fire_at"] == nightly["next_fire_at"]
    assert (trigger["name"], trigger["payload"]["report"]) == ("Nightly", "weekly")
    assert is_empty(await plan_set(ada, "billing", file))


async def test_a_plan_says_the_next_instant_that_applying_it_leads_to(
    ada: httpx.AsyncClient,
) -> None:
    grid = {"time": "2030-01-01T00:00:00Z", "interval": 30, "recurring": True}
    befores: dict[str, dict[str, Any]] = {
        "moved": {"details": grid},
        "ended": {"details": grid},
        "paused": {"details": {"cron": "@daily"}},
        "resumed": {"details": {"cron": "@daily"}, "status": "paused"},
        "edited-in-pause": {"details": {"cron": "@daily"}, "status": "paused"},
    }
    afters: dict[str, dict[str, Any]] = {
        "moved": {"details": grid | {"interval": 45}},
        "ended": {"details": grid | {"until": "2030-01-01T02:00:00Z"}},
        "paused": {"details": {"cron": "@daily"}, "status": "paused"},
        "resumed": {"details": {"cron": "@hourly"}, "status": "active"},
        "edited-in-pause": {"details": {"cron": "@hourly"}},
    }
    before, after = (
        {"triggers": {key: one | {"type": "scheduled"} for key, one in members.items()}}
        for members in (befores, afters)
    )
    await put_set(ada, "next", before)

    planned = await plan_set(ada, "next", after)
    done = await put_set(ada, "next", after)

    assert planned["update"] == done["update"]
    found = {one["key"]: one["next_fire_at"] for one in done["update"]}
    assert found.pop("resumed") is not None
    assert found == {
        "moved": "2030-01-01T00:00:00Z",
        "ended": "2030-01-01T00:00:00Z",
        "paused": None,
        "edited-in-pause": None,
    }


async def test_a_person_may_pause_without_a_difference_unless_the_file_says_a_status(
    ada: httpx.AsyncClient,
) -> None:
    made = await put_set(ada, "billing", FILE)
    trigger_id = made["create"][1]["id"]
    assert (await ada.post(f"/triggers/{trigger_id}/pause")).status_code == 200

    silent = await plan_set(ada, "billing", FILE)
    file = with_member(FILE, "triggers", "nightly", status="active")
    saying = await put_set(ada, "billing", file)

    assert is_empty(silent)
    assert saying["update"][0]["changes"] == [
        {"pointer": "#/triggers/nightly/status", "from": "paused", "to": "active"}
    ]
    assert (await read(ada, trigger_id))["status"] == "active"


async def test_a_plan_is_applied_only_if_nothing_has_moved_since(
    ada: httpx.AsyncClient, database: Any
) -> None:
    await put_set(ada, "billing", FILE)
    file = with_member(FILE, "triggers", "nightly", name="Nightly")
    planned = await plan_set(ada, "billing", file)
    fresh = {"If-Match": f'"{planned["digest"]}"'}
    trigger_id = planned["update"][0]["id"]
    await change(ada, trigger_id, {"payload": {"report": "by hand"}})
    before = await rows_of(database)

    stale = await ada.put("/sets/billing", json=file, headers=fresh)
    pruning = await ada.put("/sets/billing?prune=true", json=file, headers=fresh)
    bare = {"If-Match": planned["digest"]}
    unquoted = await ada.put("/sets/billing", json=file, headers=bare)
    absent = await ada.put("/sets/other", json={}, headers={"If-Match": "*"})
    after = await rows_of(database)
    planned = await plan_set(ada, "billing", file)
    fresh = {"If-Match": f'"{planned["digest"]}"'}
    applied = await ada.put("/sets/billing", json=file, headers=fresh)
    repeated = await ada.put("/sets/billing", json=file, headers=fresh)

    assert problem_of(stale, 412)["type"].endswith("plan-stale")
    problem_of(pruning, 412)
    assert "names no plan: write its digest in quotes" in problem_of(unquoted, 412)["detail"]
    assert "not there" in problem_of(absent, 412)["detail"]
    assert after == before
    assert applied.status_code == 200
    problem_of(repeated, 412)


async def test_a_set_is_deleted_only_if_it_is_as_it_was_read(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await put_set(ada, "billing", FILE)
    read_first = await ada.get("/sets/billing")
    tag = read_first.headers["etag"]
    known = await ada.get("/sets/billing", headers={"If-None-Match": tag})
    trigger_id = next(one["id"] for one in made["create"] if one["key"] == "order-created")
    await ada.post(f"/triggers/{trigger_id}/trigger", json={})
    fired = await ada.get("/sets/billing")
    crm = {"headers": {"X-A": "other"}}
    await ada.patch(f"/destinations/{made['create'][0]['id']}", json=crm)
    before = await rows_of(database)

    stale = await ada.delete("/sets/billing", headers={"If-Match": tag})
    after = await rows_of(database)
    fresh = {"If-Match": (await ada.get("/sets/billing")).headers["etag"]}
    deleted = await ada.delete("/sets/billing", headers=fresh)
    gone = await ada.delete("/sets/billing", headers=fresh)

    assert (known.status_code, known.content) == (304, b"")
    assert fired.headers["etag"] == tag
    assert problem_of(stale, 412)["type"].endswith("precondition-failed")
    assert after == before
    assert deleted.status_code == 204
    problem_of(gone, 404)


async def test_a_plan_is_not_that_of_a_file_with_another_header_value(
    ada: httpx.AsyncClient, database: Any
) -> None:
    other = with_member(FILE, "destinations", "crm", headers={"Authorization": "Bearer two"})
    third = with_member(FILE, "destinations", "crm", headers={"Authorization": "Bearer three"})

    for file, another in ((FILE, other), (other, third)):  # a new destination, and a stored one
        digest = (await plan_set(ada, "billing", file))["digest"]
        before = await rows_of(database)
        refused = await ada.put("/sets/billing", json=another, headers={"If-Match": f'"{digest}"'})
        assert await rows_of(database) == before
        applied = await ada.put("/sets/billing", json=file, headers={"If-Match": f'"{digest}"'})

        assert problem_of(refused, 412)["type"].endswith("plan-stale")
        assert applied.status_code == 200


async def test_payloads_are_checked_off_the_event_loop_which_is_given_back_after_each_row(
    ada: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, checked, planned = [0], list[threading.Thread](), set[int]()
    check, plan = payload_schema.payload_errors, stored_plans.plan_or_refuse

    def noting_threads(*given: Any) -> Any:
        checked.append(threading.current_thread())
        return check(*given)

    def noting_turns(*given: Any, **more: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            planned.add(turns[0])
        return plan(*given, **more)

    async def take_turns() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(editing, "payload_errors", noting_threads)
    monkeypatch.setattr(stored_plans, "plan_or_refuse", noting_turns)
    checking = {"type": "scheduled", "payload": {"a": 1}}
    counting = asyncio.create_task(take_turns())

    for cron in ("@daily", "@hourly"):
        member = checking | {"details": {"cron": cron, "schema": {"required": ["a"]}}}
        await put_set(ada, "jobs", {"triggers": {f"job-{n}": member for n in range(20)}})
    counting.cancel()

    assert len(checked) == 40
    assert len(planned) >= 40
    assert threading.main_thread() not in checked


async def test_prune_removes_what_the_file_lacks_and_nothing_else(
    ada: httpx.AsyncClient, database: Any
) -> None:
    await put_set(ada, "billing", FILE)
    await put_set(ada, "another", {"triggers": {"theirs": {"type": "api"}}})
    by_hand = await make_scheduled(ada)
    smaller = with_member(FILE, "triggers", "nightly", destinations=[])
    smaller = without(smaller, "triggers", "order-created")
    smaller = without(smaller, "destinations", "crm")

    kept = await put_set(ada, "billing", smaller)
    planned = await plan_set(ada, "billing", smaller, prune="true")
    pruned = await prune_set(ada, "billing", smaller)

    assert kept["remove"] == []
    assert names_in(planned["remove"]) == ["destination/crm", "trigger/order-created"]
    assert pruned["remove"] == planned["remove"]
    left = await read_all(ada, "/triggers")
    assert {one["key"] for one in left} == {"nightly", "theirs", None}
    assert by_hand["id"] in {one["id"] for one in left}
    assert await read_all(ada, "/destinations") == []
    assert await database.fetchval("SELECT count(*) FROM hooks") == 0
    assert await database.fetchval("SELECT count(*) FROM trigger_tags") == 0


async def test_a_destination_that_others_name_is_not_removed(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await put_set(ada, "billing", FILE)
    by_hand = await make_api(ada, destinations=[made["create"][0]["id"]])
    before = await rows_of(database)

    used = await ada.put("/sets/billing?prune=true", json={})
    planned = await ada.put("/sets/billing?prune=true&dry_run=true", json={})
    deleted = await ada.delete("/sets/billing")
    unnamed = without(FILE, "destinations", "crm")
    named = await ada.put("/sets/billing?prune=true", json=unnamed)

    for answer in (used, planned, deleted):
        assert str(by_hand["id"]) in problem_of(answer, 409)["detail"]
    assert places_of(named) == ["#/triggers/nightly/destinations/0"]
    assert await rows_of(database) == before


async def test_keys_of_others_are_refused_and_the_same_made_by_hand_is_taken_over(
    ada: httpx.AsyncClient, database: Any
) -> None:
    await put_set(ada, "billing", FILE)
    await make_api(ada, key="by-hand", tags=["x"])
    before = await rows_of(database)

    theirs = await ada.put("/sets/mine", json={"triggers": {"nightly": {"type": "api"}}})
    other = await ada.put("/sets/mine", json={"triggers": {"by-hand": {"type": "api"}}})
    unchanged = await rows_of(database)
    same = {"triggers": {"by-hand": {"type": "api", "tags": ["x"]}}}
    planned = await plan_set(ada, "mine", same)
    adopted = await put_set(ada, "mine", same)

    refused = problem_of(theirs, 409)
    assert "The set billing owns" in refused["detail"]
    assert refused["errors"][0]["pointer"] == "#/triggers/nightly"
    assert "#/triggers/by-hand/tags" in problem_of(other, 409)["detail"]
    assert unchanged == before
    assert names_in(planned["adopt"]) == names_in(adopted["adopt"]) == ["trigger/by-hand"]
    assert is_empty(await plan_set(ada, "mine", same))
    assert (await ada.delete("/sets/mine")).status_code == 204
    assert {one["key"] for one in await read_all(ada, "/triggers")} == {"nightly", "order-created"}


async def test_a_bad_member_is_named_and_nothing_is_written(
    ada: httpx.AsyncClient, database: Any
) -> None:
    before = await rows_of(database)

    for kind, member, place in BAD_MEMBERS:
        file = FILE | {kind: FILE[kind] | {"bad": member}}
        applied = await ada.put("/sets/billing", json=file)
        planned = await ada.put("/sets/billing?dry_run=true", json=file)

        assert places_of(applied) == places_of(planned) == [f"#/{kind}/bad{place}"], member
    named = await ada.put("/sets/billing", json={"triggers": {"A": {}}, "destinations": {"": {}}})
    many = await ada.put("/sets/billing", json={"triggers": {f"t{n}": {} for n in range(10_001)}})

    assert places_of(named) == ["#/triggers/A", "#/destinations/"]
    assert places_of(many) == ["#"]
    assert await rows_of(database) == before


async def test_a_trigger_keeps_its_type_and_a_moved_destination_its_secrets_to_itself(
    ada: httpx.AsyncClient,
) -> None:
    made = await put_set(ada, "billing", FILE)
    stars = {"Authorization": "********"}
    elsewhere = {"url": "https://1.0.0.1/hook"}

    typed = await ada.put("/sets/billing", json=FILE | {"triggers": {"nightly": {"type": "api"}}})
    starred = await ada.put(
        "/sets/billing", json={"destinations": {"crm": elsewhere | {"headers": stars}}}
    )
    moved = await put_set(ada, "billing", {"destinations": {"crm": elsewhere}})

    assert places_of(typed) == ["#/triggers/nightly/type"]
    assert places_of(starred) == ["#/destinations/crm/headers"]
    [update] = moved["update"]
    assert update["secret"] not in {None, made["create"][0]["secret"]}
    assert [one["pointer"].rpartition("crm")[2] for one in update["changes"]] == [
        *("/headers/Authorization", "/rate_limit", "/url")
    ]
    assert "Authorization" in " ".join(update["warnings"])


async def test_five_hundred_triggers_are_one_call_and_then_no_change(
    ada: httpx.AsyncClient, database: Any
) -> None:
    members = {
        f"job-{n}": {
            "type": "scheduled",
            "details": {"cron": f"{n % 60} {n % 24} * * *", "timezone": "Europe/Berlin"},
            "tags": ["bulk"],
            "destinations": ["crm"],
        }
        for n in range(500)
    }
    file = {"destinations": {"crm": CRM}, "triggers": members}

    made = await put_set(ada, "jobs", file)
    again = await put_set(ada, "jobs", file, prune="true")

    assert len(made["create"]) == 501
    assert len({one["id"] for one in made["create"] if one["kind"] == "trigger"}) == 500
    assert is_empty(again)
    assert again["unchanged"] == 501
    assert await database.fetchval("SELECT count(*) FROM trigger_tags") == 500
    by_key = dict(await database.fetch("SELECT key, id FROM triggers"))
    assert all(by_key[one["key"]] == one["id"] for one in made["create"][1:])
    action = "SELECT count(*) FROM audit_entries WHERE action = 'put_set' AND target = $1"
    assert await database.fetchval(action, "trigger") == 500
    assert await database.fetchval(action, "set") == 1
    assert (await ada.delete("/sets/jobs")).status_code == 204
    assert await read_all(ada, "/triggers") == []


async def test_applies_at_once_end_in_one_state_and_none_fails(ada: httpx.AsyncClient) -> None:
    files = [
        {"triggers": {f"job-{n}": {"type": "api", "name": f"from {k}"} for n in range(20)}}
        for k in range(4)
    ]
    planned = [await plan_set(ada, "planned", file) for file in files[2:]]

    plain = await asyncio.gather(*(ada.put("/sets/jobs", json=file) for file in files[:2]))
    jobs = await read_all(ada, "/triggers")
    assert (await ada.delete("/sets/jobs")).status_code == 204
    matching = await asyncio.gather(
        *(
            ada.put("/sets/planned", json=file, headers={"If-Match": f'"{plan["digest"]}"'})
            for file, plan in zip(files[2:], planned, strict=True)
        )
    )
    triggers = await read_all(ada, "/triggers")

    assert [one.status_code for one in plain] == [200, 200]
    assert sorted(len(one.json()["create"]) for one in plain) == [0, 20]
    assert sorted(len(one.json()["update"]) for one in plain) == [0, 20]
    assert sorted(one.status_code for one in matching) == [200, 412]
    for found in (jobs, triggers):
        assert len(found) == 20
        assert len({one["name"] for one in found}) == 1


@one_server("it has database triggers, which distributed tables cannot have")
async def test_a_failure_in_the_middle_writes_nothing(
    ada: httpx.AsyncClient, database: Any
) -> None:
    await database.execute("""
        CREATE FUNCTION fail() RETURNS trigger AS $$
        BEGIN RAISE 'full' USING ERRCODE = 'disk_full'; END $$ LANGUAGE plpgsql;
        CREATE TRIGGER fail BEFORE INSERT ON triggers FOR EACH ROW
            WHEN (NEW.key = 'job-70') EXECUTE FUNCTION fail();
    """)
    file = FILE | {"triggers": {f"job-{n}": {"type": "api"} for n in range(100)}}
    before = await rows_of(database)

    answer = await ada.put("/sets/jobs", json=file)

    assert answer.status_code == 503
    assert await rows_of(database) == before


async def test_limits_count_and_removed_members_make_room(database_url: str) -> None:
    async with running_service(database_url, max_triggers=3, max_destinations=1) as service:
        ada = service.client(2)
        full = {"triggers": {f"a-{n}": {"type": "api"} for n in range(3)}}
        await put_set(ada, "full", full)
        swapped = {"triggers": {f"b-{n}": {"type": "api"} for n in range(3)}}

        over = await ada.put("/sets/full", json=swapped)
        several = {"destinations": {key: {"url": URL} for key in ("one", "two")}}
        too_many = await ada.put("/sets/more", json=several)
        fitting = await prune_set(ada, "full", swapped)

        assert problem_of(over, 409)["type"].endswith("too-many-triggers")
        assert problem_of(too_many, 409)["type"].endswith("too-many-destinations")
        assert (len(fitting["create"]), len(fitting["remove"])) == (3, 3)


async def test_sets_are_listed_with_their_numbers_and_no_project_sees_anothers(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, overseer: httpx.AsyncClient
) -> None:
    await put_set(ada, "billing", FILE)
    await put_set(ada, "empty", {})
    await put_set(bob, "billing", {"triggers": {"nightly": {"type": "api"}}})

    [empty, billing] = await read_all(ada, "/sets")
    [his] = await read_all(bob, "/sets")
    everybodys = await read_all(overseer, "/sets")

    assert (empty["name"], empty["triggers"], empty["destinations"]) == ("empty", 0, 0)
    assert (billing["name"], billing["triggers"], billing["destinations"]) == ("billing", 2, 1)
    assert (his["triggers"], his["destinations"]) == (1, 0)
    assert {(one["name"], one["triggers"]) for one in everybodys} == {
        *(("billing", 2), ("empty", 0), ("billing", 1))
    }
    none = await bob.get("/sets/none")
    hers = await bob.get("/sets/empty")
    assert problem_of(hers, 404) == problem_of(none, 404)
    assert (await bob.delete("/sets/empty")).json() == none.json()
    assert not any((await get_set(ada, "empty")).values())


async def test_a_trigger_that_is_done_and_deletes_itself_is_not_made_again(
    ada: httpx.AsyncClient,
) -> None:
    past = {"time": "2025-01-01T00:00:00Z"}
    file = {
        "triggers": {
            "gone": {"type": "scheduled", "details": past, "on_completion": "delete"},
            "kept": {"type": "scheduled", "details": past},
        }
    }

    made = await put_set(ada, "past", file)
    again = await plan_set(ada, "past", file)

    assert names_in(made["create"]) == ["trigger/kept"]
    assert made["unchanged"] == 1
    assert is_empty(again)


async def test_a_trigger_that_has_fired_and_is_gone_is_not_made_again_as_it_was(
    ada: httpx.AsyncClient, database: Any
) -> None:
    once = {"type": "scheduled", "details": {"interval": "PT1S"}, "on_completion": "delete"}
    twice = {**once, "details": {"interval": "PT1S", "recurring": True, "max_fires": 2}}
    later = {**once, "details": {"interval": "PT1H"}}
    file = {"triggers": {"once": once, "twice": twice, "by-hand": later}}
    made = await put_set(ada, "jobs", file)
    by_hand = made["create"][0]["id"]
    await ada.delete(f"/triggers/{by_hand}")
    await eventually(lambda: read_all(ada, "/triggers"), lambda left: left == [])
    fired = len(await read_all(ada, "/events"))

    spelt = {**once, "details": {"interval": 1 / 60, "catch_up": "latest"}, "name": "n"}
    same = file | {"triggers": {"once": spelt, "twice": twice}}
    planned = await plan_set(ada, "jobs", same)
    applied = await put_set(ada, "jobs", same)
    whole = await plan_set(ada, "jobs", file)
    moved = await put_set(ada, "jobs", {"triggers": {"once": later, "twice": twice}})
    left_out = await put_set(ada, "jobs", {"triggers": {"once": later}})
    back = await plan_set(ada, "jobs", file)

    assert fired == 3
    assert is_empty(planned)
    assert is_empty(applied)
    assert planned["unchanged"] == applied["unchanged"] == 2
    assert names_in(whole["create"]) == ["trigger/by-hand"]
    assert names_in(moved["create"]) == ["trigger/once"]
    assert is_empty(left_out)
    assert names_in(back["create"]) == ["trigger/by-hand", "trigger/twice"]
    assert names_in(back["update"]) == ["trigger/once"]
    assert await database.fetchval("SELECT count(*) FROM finished_members") == 0


async def test_pausing_by_a_file_needs_the_scope_for_pausing(service: Service) -> None:
    ada = service.client(2)
    await put_set(ada, "billing", FILE)
    scopes = ["triggers:read", "triggers:write", "destinations:read", "destinations:write"]
    made = await ada.post("/auth/keys", json={"name": "ci", "scopes": scopes})
    key = service.client()
    key.headers["X-API-Key"] = made.json()["key"]

    paused = await key.put(
        "/sets/billing", json=with_member(FILE, "triggers", "nightly", status="paused")
    )
    named = await key.put(
        "/sets/billing", json=with_member(FILE, "triggers", "nightly", name="Nightly")
    )
    hooked = await key.put(
        "/sets/billing",
        json=with_member(FILE, "triggers", "order-created", details={"hook": {"verify": "none"}}),
    )

    assert "triggers:fire" in problem_of(paused, 403)["detail"]
    assert named.status_code == 200
    assert hooked.json()["update"][0]["hook_url"] is None
