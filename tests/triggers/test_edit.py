"""A trigger changes as RFC 7396 says, and from the answer on only the new schedule holds."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx

from tests.support.downtime import earlier
from tests.support.locks import locked_trigger, until_somebody_waits
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.services import Service
from tests.support.triggers import ONLY_WRITTEN, change, instant, make_api, make_scheduled, read
from tests.support.waiting import eventually

PAST = "2025-03-13T10:00:00Z"
FUTURE = "2100-01-01T00:00:00Z"
SECOND = timedelta(seconds=1)
EVERY_SECOND = {"interval": "PT1S", "recurring": True}
NEVER_AGAIN = {"time": FUTURE, "interval": None, "recurring": None}
MERGE_PATCH = {"content-type": "application/merge-patch+json"}


async def post(client: httpx.AsyncClient, trigger_id: int, verb: str) -> dict[str, Any]:
    answer = await client.post(f"/triggers/{trigger_id}/{verb}")
    assert answer.status_code == 200, answer.text
    trigger: dict[str, Any] = answer.json()
    return trigger


async def fired(client: httpx.AsyncClient, trigger_id: int) -> list[dict[str, Any]]:
    return await read_all(client, "/events", trigger_id=trigger_id)


async def until_fired(client: httpx.AsyncClient, trigger_id: int) -> list[dict[str, Any]]:
    return await eventually(lambda: fired(client, trigger_id), bool)


# Merge patch


async def test_what_a_patch_leaves_out_stays_and_what_is_null_goes(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(
        ada, name="a", tags=["x"], payload={"keep": 1, "drop": 2, "deep": {"keep": 3, "drop": 4}}
    )

    patched = await change(ada, made["id"], {"payload": {"drop": None, "deep": {"drop": None}}})
    renamed = await change(ada, made["id"], {"name": "b", "tags": ["y", "z", "y"]})
    emptied = await change(ada, made["id"], {"name": None, "tags": None, "payload": None})

    assert patched["payload"] == {"keep": 1, "deep": {"keep": 3}}
    assert (patched["name"], patched["tags"]) == ("a", ["x"])
    assert (renamed["name"], renamed["tags"]) == ("b", ["y", "z"])
    assert renamed["payload"] == patched["payload"]
    assert (emptied["name"], emptied["tags"], emptied["payload"]) == (None, [], None)
    assert {**await read(ada, made["id"]), **ONLY_WRITTEN} == emptied


async def test_a_payload_is_merged_into_and_made_where_there_was_none(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(ada)

    first = await change(ada, made["id"], {"payload": {"a": {"b": {"c": None}}, "list": [None]}})
    second = await change(ada, made["id"], {"payload": {"a": {"x": 1}, "list": [{"y": None}]}})
    third = await change(ada, made["id"], {"payload": {"a": 5}})

    assert first["payload"] == {"a": {"b": {}}, "list": [None]}
    assert second["payload"] == {"a": {"b": {}, "x": 1}, "list": [{"y": None}]}
    assert third["payload"] == {"a": 5, "list": [{"y": None}]}


async def test_an_empty_patch_changes_nothing_and_keeps_the_next_instant(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(
        ada, {"interval": 30, "recurring": True}, name="n", payload={"a": 1}
    )

    patches: tuple[dict[str, Any], ...] = ({}, {"details": {}}, {"payload": {}})

    for patch in patches:
        changed = await change(ada, made["id"], patch)

        assert {**changed, "updated_at": None} == {**made, "updated_at": None}


async def test_a_patch_may_call_itself_one(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)

    answer = await ada.patch(
        f"/triggers/{made['id']}", content=b'{"name": "b"}', headers=MERGE_PATCH
    )

    assert answer.status_code == 200
    assert answer.json()["name"] == "b"


async def test_a_change_is_dated(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)

    changed = await change(ada, made["id"], {"name": "b"})

    assert instant(changed["updated_at"]) > instant(made["updated_at"])
    assert changed["created_at"] == made["created_at"]


async def test_what_cannot_be_changed_or_kept_is_refused_and_nothing_is_changed(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(
        ada, {"interval": 30, "recurring": True}, name="n", payload={"a": 1}
    )
    for patch, place in (
        ({"type": "api"}, "#/type"),
        ({"id": 5}, "#/id"),
        ({"status": "paused"}, "#/status"),
        ({"next_fire_at": FUTURE}, "#/next_fire_at"),
        ({"fire_count": 7}, "#/fire_count"),
        ({"destinations": [5]}, "#/destinations/0"),
        ({"details": None}, "#/details"),
        ({"details": []}, "#/details"),
        ({"name": ""}, "#/name"),
        ({"name": "x" * 201}, "#/name"),
        ({"tags": ["x"] * 21}, "#/tags"),
        ({"payload": []}, "#/payload"),
        ({"name": "other", "details": {"catch_up": "some"}}, "#/details/catch_up"),
        ({"name": "other", "details": {"hook": {}}}, "#/details/hook"),
        ({"details": {"interval": 0}}, "#/details/interval"),
        ({"details": {"interval": None}}, "#/details"),
        ({"details": {"time": FUTURE, "interval": None}}, "#/details/recurring"),
        ({"details": {"cron": "@daily"}}, "#/details/cron"),
        ({"details": {"timezone": "UTC"}}, "#/details/timezone"),
        ({"details": {"recurring": None, "until": FUTURE}}, "#/details/until"),
        ({"details": {"recurring": False, "max_fires": 5}}, "#/details/max_fires"),
        ({"details": {"time": "2100-01-01"}}, "#/details/time"),
        ({"details": {"max_fires": 0}}, "#/details/max_fires"),
        ([], "#"),
        (None, "#"),
        ("x", "#"),
    ):
        answer = await ada.patch(f"/triggers/{made['id']}", json=patch)

        assert places_of(answer) == [place], patch
    assert {**await read(ada, made["id"]), **ONLY_WRITTEN} == made


async def test_an_api_trigger_takes_no_schedule(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)

    answer = await ada.patch(f"/triggers/{made['id']}", json={"details": {"interval": 5}})

    assert places_of(answer) == ["#/details/interval"]


async def test_patches_cannot_pile_up_a_payload_larger_than_a_body(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(ada, payload={"a": "x" * 600_000})

    answer = await ada.patch(f"/triggers/{made['id']}", json={"payload": {"b": "x" * 600_000}})

    assert places_of(answer) == ["#/payload"]
    assert (await read(ada, made["id"]))["payload"] == made["payload"]


async def test_patches_at_once_all_take_effect(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, payload={})

    await asyncio.gather(
        *(change(ada, made["id"], {"payload": {f"n{n}": n}, "name": f"n{n}"}) for n in range(15))
    )

    seen = await read(ada, made["id"])
    assert seen["payload"] == {f"n{n}": n for n in range(15)}


# A changed schedule


async def test_a_changed_interval_counts_from_the_change(ada: httpx.AsyncClient) -> None:
    recurring = await make_scheduled(ada, {"interval": 30, "recurring": True})
    once = await make_scheduled(ada, {"interval": 30})

    for made in (recurring, once):
        changed = await change(ada, made["id"], {"details": {"interval": "PT2H"}})

        delay = instant(changed["next_fire_at"]) - instant(changed["updated_at"])
        assert delay == timedelta(hours=2)
        assert changed["details"] == {**made["details"], "interval": "PT2H"}


async def test_a_changed_schedule_of_another_kind_is_planned_from_now(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(ada, {"interval": 30, "recurring": True})

    timed = await change(ada, made["id"], {"details": {"time": FUTURE}})
    daily = await change(
        ada,
        made["id"],
        {"details": {"cron": "@daily", "time": None, "interval": None, "recurring": None}},
    )
    once = await change(ada, made["id"], {"details": {"cron": None, "time": FUTURE}})

    assert timed["next_fire_at"] == FUTURE
    midnight = instant(daily["updated_at"]).replace(hour=0, minute=0, second=0, microsecond=0)
    assert instant(daily["next_fire_at"]) == midnight + timedelta(days=1)
    assert daily["details"] == {"cron": "@daily"}
    assert once["next_fire_at"] == FUTURE
    assert once["details"] == {"time": FUTURE}


async def test_a_schedule_that_is_only_spelt_anew_or_ends_elsewhere_keeps_its_grid(
    ada: httpx.AsyncClient,
) -> None:
    hourly = await make_scheduled(ada, {"interval": 60, "recurring": True})
    once = await make_scheduled(ada, {"interval": 60})
    cron = await make_scheduled(ada, {"cron": "@daily"})

    for made, details in (
        (hourly, {"interval": 60.0}),
        (hourly, {"interval": "PT1H"}),
        (hourly, {"until": FUTURE}),
        (hourly, {"until": None, "max_fires": 5}),
        (hourly, {"schema": {"type": ["object", "null"]}}),
        (once, {"recurring": False}),
        (cron, {"timezone": "UTC"}),
        (cron, {"recurring": True}),
        (cron, {"cron": "0 0 * * *"}),
    ):
        changed = await change(ada, made["id"], {"details": details})

        assert changed["next_fire_at"] == made["next_fire_at"], details
        assert details.items() <= {**dict.fromkeys(details), **changed["details"]}.items()


async def test_what_is_not_the_schedule_leaves_the_next_instant_alone(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(ada, {"interval": 30, "recurring": True})

    changed = await change(ada, made["id"], {"name": "n", "tags": ["t"], "payload": {"a": 1}})

    assert changed["next_fire_at"] == made["next_fire_at"]


async def test_a_completed_trigger_comes_back_with_a_schedule_that_has_instants_left(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(ada, {"time": PAST})

    renamed = await change(ada, made["id"], {"name": "n"})
    revived = await change(ada, made["id"], {"details": {"time": FUTURE}})
    over = await change(ada, made["id"], {"details": {"time": PAST}})

    assert (renamed["status"], renamed["next_fire_at"]) == ("completed", None)
    assert len(renamed["warnings"]) == 1
    assert (revived["status"], revived["next_fire_at"]) == ("active", FUTURE)
    assert revived["warnings"] == []
    assert (over["status"], over["next_fire_at"]) == ("completed", None)
    assert len(over["warnings"]) == 1


async def test_max_fires_counts_across_changes(ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada, {**EVERY_SECOND, "max_fires": 1})
    await eventually(lambda: read(ada, made["id"]), lambda seen: seen["status"] == "completed")

    still_done = await change(ada, made["id"], {"details": {"interval": 30}})
    one_more = await change(ada, made["id"], {"details": {"max_fires": 2}})
    done = await change(ada, made["id"], {"details": {"max_fires": 1}})

    assert still_done["status"] == "completed"
    assert one_more["status"] == "active"
    assert one_more["next_fire_at"] is not None
    assert (done["status"], done["next_fire_at"]) == ("completed", None)
    assert len(await fired(ada, made["id"])) == 1


async def test_a_paused_trigger_is_changed_and_stays_paused(ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada, {"interval": 30, "recurring": True})
    await post(ada, made["id"], "pause")

    changed = await change(ada, made["id"], {"details": {"interval": "PT2H"}})
    refused = await ada.patch(f"/triggers/{made['id']}", json={"details": {"cron": "@daily"}})
    resumed = await post(ada, made["id"], "resume")

    assert (changed["status"], changed["next_fire_at"]) == ("paused", None)
    assert places_of(refused) == ["#/details/cron"]
    assert resumed["status"] == "active"
    assert instant(resumed["next_fire_at"]) - instant(changed["updated_at"]) == timedelta(hours=2)


# Pause and resume


async def test_pausing_and_resuming_twice_is_once(ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada, {"time": FUTURE, "interval": 30, "recurring": True})

    paused = [await post(ada, made["id"], "pause") for _ in range(2)]
    resumed = [await post(ada, made["id"], "resume") for _ in range(2)]

    assert paused[0] == paused[1] == as_paused(made, paused[0])
    assert resumed[0] == resumed[1]
    assert (resumed[0]["status"], resumed[0]["next_fire_at"]) == ("active", FUTURE)


def as_paused(made: dict[str, Any], paused: dict[str, Any]) -> dict[str, Any]:
    """Gives the trigger as it must look while it is paused."""
    kept = {name: value for name, value in made.items() if name not in ONLY_WRITTEN}
    return {
        **kept,
        "status": "paused",
        "next_fire_at": None,
        "updated_at": paused["updated_at"],
    }


async def test_resuming_what_is_not_paused_changes_nothing(ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada, {"interval": 30, "recurring": True})

    resumed = await post(ada, made["id"], "resume")

    assert {**resumed, **ONLY_WRITTEN} == made


async def test_an_api_trigger_is_paused_and_resumed(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)

    paused = await post(ada, made["id"], "pause")
    resumed = await post(ada, made["id"], "resume")

    assert paused["status"] == "paused"
    assert (resumed["status"], resumed["next_fire_at"]) == ("active", None)


async def test_what_is_completed_can_neither_be_paused_nor_resumed(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(ada, {"time": PAST})

    for verb in ("pause", "resume"):
        answer = await ada.post(f"/triggers/{made['id']}/{verb}")

        problem = problem_of(answer, 409)
        assert problem["type"] == "urn:event-trigger:problem:trigger-completed"
    assert (await read(ada, made["id"]))["status"] == "completed"


async def test_a_one_time_instant_that_fell_into_the_pause_never_fires(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(ada, {"interval": "PT1S"})
    await post(ada, made["id"], "pause")
    by = timedelta(minutes=1)
    await database.execute(f"UPDATE triggers SET {earlier('anchor_at', by='$1::interval')}", by)

    resumed = await post(ada, made["id"], "resume")

    assert (resumed["status"], resumed["next_fire_at"]) == ("completed", None)
    assert await fired(ada, made["id"]) == []


async def test_a_grid_goes_on_after_a_pause_without_what_the_pause_swallowed(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(ada, {"interval": "PT1H", "recurring": True})
    await post(ada, made["id"], "pause")
    by = timedelta(minutes=150)
    await database.execute(f"UPDATE triggers SET {earlier('anchor_at', by='$1::interval')}", by)

    resumed = await post(ada, made["id"], "resume")

    left = instant(made["next_fire_at"]) - instant(resumed["next_fire_at"])
    assert left == timedelta(minutes=30)
    assert await fired(ada, made["id"]) == []


async def test_max_fires_that_was_lowered_during_a_pause_completes_on_resume(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_scheduled(ada, {"interval": 30, "recurring": True, "max_fires": 5})
    await post(ada, made["id"], "pause")
    await database.execute("UPDATE triggers SET scheduled_count = 3")
    await change(ada, made["id"], {"details": {"max_fires": 3}})

    resumed = await post(ada, made["id"], "resume")

    assert resumed["status"] == "completed"


async def test_while_paused_nothing_fires_and_afterwards_it_does(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(ada, EVERY_SECOND)
    other = await make_scheduled(ada, EVERY_SECOND)
    await post(ada, made["id"], "pause")

    await until_fired(ada, other["id"])
    fired_during = await fired(ada, made["id"])
    resumed = await post(ada, made["id"], "resume")
    events = await until_fired(ada, made["id"])

    assert fired_during == []
    assert instant(events[-1]["scheduled_for"]) >= instant(resumed["next_fire_at"])


# No event of the old schedule after the answer


async def race(
    ada: httpx.AsyncClient, database: Any, ends: Any
) -> list[tuple[int, list[dict[str, Any]]]]:
    """Lets triggers become due while each is ended; gives the events seen at once, per trigger."""
    made = [await make_scheduled(ada, EVERY_SECOND) for _ in range(12)]
    await database.execute("UPDATE triggers SET next_fire_at = now() + interval '20 ms'")

    async def end(trigger_id: int) -> tuple[int, list[dict[str, Any]]]:
        await ends(trigger_id)
        return trigger_id, await fired(ada, trigger_id)

    return list(await asyncio.gather(*(end(one["id"]) for one in made)))


async def pass_a_second(ada: httpx.AsyncClient) -> None:
    """Waits until a trigger that was made now has fired, as the old ones would have again."""
    sentinel = await make_scheduled(ada, {"interval": "PT1.2S"})
    await until_fired(ada, sentinel["id"])


async def test_after_a_patch_no_event_of_the_old_schedule_follows(
    ada: httpx.AsyncClient, database: Any
) -> None:
    seen = await race(ada, database, lambda key: change(ada, key, {"details": NEVER_AGAIN}))

    await pass_a_second(ada)

    for trigger_id, events in seen:
        assert await fired(ada, trigger_id) == events


async def test_after_a_pause_no_event_follows(ada: httpx.AsyncClient, database: Any) -> None:
    seen = await race(ada, database, lambda key: post(ada, key, "pause"))

    await pass_a_second(ada)

    for trigger_id, events in seen:
        assert await fired(ada, trigger_id) == events


async def test_after_a_deletion_no_event_follows_and_past_ones_stay(
    ada: httpx.AsyncClient, database: Any
) -> None:
    seen = await race(ada, database, lambda key: ada.delete(f"/triggers/{key}"))

    await pass_a_second(ada)

    for trigger_id, events in seen:
        assert await fired(ada, trigger_id) == events


async def test_a_change_waits_for_a_firing_that_is_under_way(
    service: Service, ada: httpx.AsyncClient
) -> None:
    made = await make_scheduled(ada, {"interval": 30, "recurring": True})

    async with locked_trigger(service.database_url, made["id"]) as firing:
        waiting = asyncio.create_task(change(ada, made["id"], {"name": "n"}))
        await until_somebody_waits(firing)
        await firing.execute("UPDATE triggers SET fire_count = 7 WHERE id = $1", made["id"])
    changed = await waiting

    assert (changed["name"], changed["fire_count"]) == ("n", 7)


# Delete


async def test_a_deleted_trigger_is_gone_and_its_events_stay(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, payload={"a": 1})
    await ada.post(f"/triggers/{made['id']}/trigger")

    answer = await ada.delete(f"/triggers/{made['id']}")

    assert (answer.status_code, answer.content) == (204, b"")
    events = await fired(ada, made["id"])
    assert [event["payload"] for event in events] == [{"a": 1}]
    assert (await ada.get(f"/events/{events[0]['id']}")).json() == events[0]
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/trigger"),
        ("POST", "/test"),
    ):
        body: dict[str, Any] | None = {} if method == "PATCH" else None
        again = await ada.request(method, f"/triggers/{made['id']}{path}", json=body)
        problem_of(again, 404)


async def test_the_id_of_a_deleted_trigger_is_not_given_again(ada: httpx.AsyncClient) -> None:
    first = await make_api(ada)
    await ada.delete(f"/triggers/{first['id']}")

    second = await make_api(ada)

    assert second["id"] > first["id"]
