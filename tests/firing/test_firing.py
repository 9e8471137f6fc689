"""A call makes one event with the merged payload, and with an Idempotency-Key only ever one."""

import asyncio
from typing import Any

import httpx

from tests.support.locks import locked_trigger, until_somebody_waits
from tests.support.one_server import one_server
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.services import ADA, Service
from tests.support.triggers import ONLY_WRITTEN, change, instant, make_api, make_scheduled, read

PAST = "2025-03-13T10:00:00Z"
IN_USE = "urn:event-trigger:problem:idempotency-key-in-use"
REUSED = "urn:event-trigger:problem:idempotency-key-reused"
PAUSED = "urn:event-trigger:problem:trigger-paused"
JSON = {"content-type": "application/json"}


async def fire(
    client: httpx.AsyncClient,
    trigger_id: int,
    how: str = "trigger",
    *,
    key: str | None = None,
    **sent: Any,
) -> httpx.Response:
    headers = {} if key is None else {"idempotency-key": key}
    return await client.post(f"/triggers/{trigger_id}/{how}", headers=headers, **sent)


async def event_of(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    event: dict[str, Any] = (await client.get(answer.headers["location"])).json()
    return event


# The answer and the event


async def test_the_answer_is_exactly_the_promised_one_and_says_where_the_event_is(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(ada)

    answers = [await fire(ada, made["id"], how) for how in ("trigger", "test")]

    for answer in answers:
        assert answer.status_code == 200
        assert answer.content == b'{"message":"Event triggered"}'
        assert "idempotent-replayed" not in answer.headers
    events = await read_all(ada, "/events")
    locations = [answer.headers["location"] for answer in answers]
    assert locations == [f"/events/{event['id']}" for event in events[::-1]]


async def test_a_call_becomes_an_event_of_the_api_whatever_the_trigger_is(
    ada: httpx.AsyncClient,
) -> None:
    for made in (await make_api(ada), await make_scheduled(ada)):
        event = await event_of(ada, await fire(ada, made["id"], json={"a": 1}))

        assert event == {
            "id": event["id"],
            "trigger_id": made["id"],
            "type": "api",
            "triggered_at": event["triggered_at"],
            "scheduled_for": None,
            "payload": {"a": 1},
            "is_test": False,
            "state": "active",
            "replay_of": None,
            "trigger_key": None,
            "trigger_name": None,
            "source": {"kind": "login", "user_id": ADA, "address": "127.0.0.1"},
        }
        assert instant(event["triggered_at"]) > instant(made["created_at"])


async def test_the_predefined_payload_is_merged_with_the_body_and_stays_as_it_is(
    ada: httpx.AsyncClient,
) -> None:
    predefined = {"a": 1, "deep": {"keep": [1], "drop": 2}, "list": [1, 2]}
    made = await make_api(ada, payload=predefined)
    body = {"a": "one", "deep": {"drop": None, "new": {"x": None}}, "list": [3, None], "no": None}

    event = await event_of(ada, await fire(ada, made["id"], json=body))

    assert event["payload"] == {
        "a": "one",
        "deep": {"keep": [1], "new": {"x": None}},
        "list": [3, None],
        "no": None,
    }
    assert (await read(ada, made["id"]))["payload"] == predefined


async def test_without_a_body_the_payload_is_the_predefined_one_or_null(
    ada: httpx.AsyncClient,
) -> None:
    payloads = {"none": None, "empty": {}, "some": {"a": None, "b": 1}}
    bodies: dict[str, dict[str, Any]] = {
        "nothing": {},
        "no bytes of JSON": {"content": b"", "headers": JSON},
        "{}": {"json": {}},
    }

    found = {}
    for name, payload in payloads.items():
        made = await make_api(ada, payload=payload)
        for sent, body in bodies.items():
            answer = await ada.post(f"/triggers/{made['id']}/trigger", **body)
            found[name, sent] = (await event_of(ada, answer))["payload"]

    assert found == {
        ("none", "nothing"): None,
        ("none", "no bytes of JSON"): None,
        ("none", "{}"): {},
        ("empty", "nothing"): {},
        ("empty", "no bytes of JSON"): {},
        ("empty", "{}"): {},
        ("some", "nothing"): {"a": None, "b": 1},
        ("some", "no bytes of JSON"): {"a": None, "b": 1},
        ("some", "{}"): {"a": None, "b": 1},
    }


async def test_a_payload_comes_back_as_it_was_sent(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)
    body = b'{"z":1.0,"a":[12345678901234567890,1e300,"\\u00fc\xf0\x9f\x98\x80",true],"":{}}'

    answer = await ada.post(f"/triggers/{made['id']}/trigger", content=body, headers=JSON)

    event = await event_of(ada, answer)
    assert event["payload"] == {
        "z": 1.0,
        "a": [12345678901234567890, 1e300, "ü\U0001f600", True],
        "": {},
    }
    assert list(event["payload"]) == ["z", "a", ""]


async def test_numbers_of_any_length_are_kept(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, payload={"predefined": 10**4000})

    event = await event_of(ada, await fire(ada, made["id"], json={"sent": -(10**4000), "z": -0.0}))

    assert event["payload"] == {"predefined": 10**4000, "sent": -(10**4000), "z": 0}
    assert str(event["payload"]["z"]) == "-0.0"
    assert await read_all(ada, "/events") == [event]


async def test_a_body_that_is_no_object_is_refused_and_makes_no_event(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(ada)
    for how in ("trigger", "test"):
        for body in (b"[]", b'[{"a": 1}]', b"5", b"0", b'"x"', b"true", b"false", b"{", b"NaN"):
            path = f"/triggers/{made['id']}/{how}"
            answer = await ada.post(path, content=body, headers=JSON)

            assert places_of(answer) == ["#"], body
    assert await read_all(ada, "/events") == []
    assert await read(ada, made["id"]) == {k: v for k, v in made.items() if k not in ONLY_WRITTEN}


@one_server("in a cluster last_fired_at is the worker's time")
async def test_calls_are_counted_and_dated_and_leave_the_schedule_alone(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(ada, {"interval": 30, "recurring": True, "max_fires": 1})

    events = [await event_of(ada, await fire(ada, made["id"])) for _ in range(3)]

    seen = await read(ada, made["id"])
    assert seen["fire_count"] == 3
    assert instant(events[1]["triggered_at"]) < instant(seen["last_fired_at"])
    assert instant(seen["last_fired_at"]) <= instant(events[2]["triggered_at"])
    assert (seen["status"], seen["next_fire_at"]) == ("active", made["next_fire_at"])
    assert seen["updated_at"] == made["updated_at"]


async def test_a_test_leaves_the_trigger_as_it_was(ada: httpx.AsyncClient) -> None:
    for made in (await make_api(ada, payload={"a": 1}), await make_scheduled(ada)):
        event = await event_of(ada, await fire(ada, made["id"], "test", json={"b": 2}))

        assert event["is_test"] is True
        assert event["payload"] == {**(made["payload"] or {}), "b": 2}
        assert {**await read(ada, made["id"]), **ONLY_WRITTEN} == made


async def test_a_paused_trigger_takes_tests_only(ada: httpx.AsyncClient) -> None:
    for made in (await make_api(ada), await make_scheduled(ada)):
        await ada.post(f"/triggers/{made['id']}/pause")

        refused = await fire(ada, made["id"], json={})
        tested = await fire(ada, made["id"], "test", json={})
        await ada.post(f"/triggers/{made['id']}/resume")
        resumed = await fire(ada, made["id"], json={})

        assert problem_of(refused, 409)["type"] == PAUSED
        assert (await event_of(ada, tested))["is_test"] is True
        assert (await event_of(ada, resumed))["is_test"] is False
        assert (await read(ada, made["id"]))["fire_count"] == 1


async def test_a_completed_trigger_can_be_fired_and_stays_completed(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_scheduled(ada, {"time": PAST}, payload={"a": 1})

    event = await event_of(ada, await fire(ada, made["id"]))

    seen = await read(ada, made["id"])
    assert event["payload"] == {"a": 1}
    assert (seen["status"], seen["next_fire_at"]) == ("completed", None)
    assert (seen["fire_count"], seen["last_fired_at"] is None) == (1, False)


async def test_concurrent_calls_all_become_events_and_all_count(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)

    answers = await asyncio.gather(*(fire(ada, made["id"], json={"n": n}) for n in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    events = await read_all(ada, "/events", trigger_id=made["id"])
    assert sorted(event["payload"]["n"] for event in events) == list(range(20))
    assert (await read(ada, made["id"]))["fire_count"] == 20


# Idempotency-Key


async def test_the_same_key_and_body_get_the_first_answer_again(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, payload={"a": 1})

    first = await fire(ada, made["id"], key="k", json={"b": 2, "c": {"d": 1, "e": 2}})
    again = await fire(ada, made["id"], key="k", json={"c": {"e": 2, "d": 1}, "b": 2})

    assert again.status_code == 200
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(await read_all(ada, "/events")) == 1
    assert (await read(ada, made["id"]))["fire_count"] == 1


async def test_the_same_key_with_another_body_is_refused(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)
    bodies: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"json": {"a": 1}}, {"json": {"a": 2}}),
        ({"json": {"a": 1}}, {"json": {"a": "1"}}),
        ({"json": {"a": [1, 2]}}, {"json": {"a": [2, 1]}}),
        ({"json": {"a": 1}}, {}),
        ({}, {"json": {}}),
    ]
    for number, (one, other) in enumerate(bodies):
        first = await fire(ada, made["id"], key=f"k{number}", **one)

        second = await fire(ada, made["id"], key=f"k{number}", **other)
        again = await fire(ada, made["id"], key=f"k{number}", **one)

        assert problem_of(second, 422)["type"] == REUSED
        assert again.headers["location"] == first.headers["location"]
    assert len(await read_all(ada, "/events")) == 5


async def test_a_key_is_about_one_trigger_and_one_kind_of_call(ada: httpx.AsyncClient) -> None:
    one, other = await make_api(ada), await make_api(ada)

    answers = [
        await fire(ada, made["id"], how, key="k", json={"n": made["id"]})
        for made in (one, other)
        for how in ("trigger", "test")
    ]

    assert len({answer.headers["location"] for answer in answers}) == 4
    assert not any("idempotent-replayed" in answer.headers for answer in answers)


async def test_without_a_key_each_call_is_a_new_event(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)

    answers = [await fire(ada, made["id"], key=key) for key in (None, None, "a", "b", "A")]

    assert len({answer.headers["location"] for answer in answers}) == 5


async def test_a_refused_call_does_not_use_up_its_key(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, details={"schema": {"required": ["a"]}})
    await ada.post(f"/triggers/{made['id']}/pause")

    paused = await fire(ada, made["id"], key="k", json={"a": 1})
    await ada.post(f"/triggers/{made['id']}/resume")
    unfit = await fire(ada, made["id"], key="k", json={})
    fired = await fire(ada, made["id"], key="k", json={"a": 1})

    problem_of(paused, 409)
    problem_of(unfit, 422)
    assert fired.status_code == 200
    assert "idempotent-replayed" not in fired.headers


async def test_an_answer_is_repeated_also_after_the_trigger_has_changed(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(ada)
    first = await fire(ada, made["id"], key="k", json={})
    await change(ada, made["id"], {"details": {"schema": {"required": ["a"]}}})
    await ada.post(f"/triggers/{made['id']}/pause")

    again = await fire(ada, made["id"], key="k", json={})
    await ada.delete(f"/triggers/{made['id']}")
    gone = await fire(ada, made["id"], key="k", json={})

    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    problem_of(gone, 404)


async def test_a_key_may_be_used_again_after_48_hours(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_api(ada)
    first = await fire(ada, made["id"], key="k", json={"n": 1})

    await database.execute(
        "UPDATE idempotency_keys SET created_at = now() - interval '48 h' + interval '1 min'"
    )
    replayed = await fire(ada, made["id"], key="k", json={"n": 1})
    await database.execute("UPDATE idempotency_keys SET created_at = now() - interval '48 h'")
    second = await fire(ada, made["id"], key="k", json={"n": 2})
    second_again = await fire(ada, made["id"], key="k", json={"n": 2})

    assert replayed.headers["location"] == first.headers["location"]
    assert second.headers["location"] != first.headers["location"]
    assert "idempotent-replayed" not in second.headers
    assert second_again.headers["location"] == second.headers["location"]
    assert await database.fetchval("SELECT count(*) FROM idempotency_keys") == 1


async def test_a_second_call_with_a_key_is_refused_while_the_first_runs(
    service: Service, ada: httpx.AsyncClient
) -> None:
    made = await make_api(ada)

    async with locked_trigger(service.database_url, made["id"]) as holding:
        first = asyncio.create_task(fire(ada, made["id"], key="k", json={"n": 1}))
        await until_somebody_waits(holding)
        during = [
            await fire(ada, made["id"], key="k", json={"n": 1}),
            await fire(ada, made["id"], key="k", json={"n": 2}),
        ]
        with_another_key = asyncio.create_task(fire(ada, made["id"], key="other"))
        a_test = await fire(ada, made["id"], "test", key="k", json={"n": 1})
    fired = await first
    afterwards = await fire(ada, made["id"], key="k", json={"n": 1})

    for answer in during:
        assert problem_of(answer, 409)["type"] == IN_USE
        assert answer.headers["retry-after"] == "1"
    assert (await with_another_key).status_code == 200
    assert a_test.status_code == 200
    assert fired.status_code == 200
    assert afterwards.headers["location"] == fired.headers["location"]
    assert len(await read_all(ada, "/events", is_test=False)) == 2


async def test_of_many_calls_at_once_with_one_key_one_becomes_an_event(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(ada)

    answers = await asyncio.gather(
        *(fire(ada, made["id"], key="k", json={"n": 1}) for _ in range(20))
    )

    events = await read_all(ada, "/events")
    assert len(events) == 1
    fired = [answer for answer in answers if answer.status_code == 200]
    assert {answer.headers["location"] for answer in fired} == {f"/events/{events[0]['id']}"}
    assert sum("idempotent-replayed" not in answer.headers for answer in fired) == 1
    for answer in answers:
        if answer not in fired:
            assert problem_of(answer, 409)["type"] == IN_USE
    assert (await read(ada, made["id"]))["fire_count"] == 1


async def test_a_key_whose_first_call_fails_can_be_tried_again(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_api(ada)
    await database.execute("ALTER TABLE idempotency_keys ADD CONSTRAINT no CHECK (key <> 'k')")

    failed = await fire(ada, made["id"], key="k", json={})
    before = await read_all(ada, "/events")
    await database.execute("ALTER TABLE idempotency_keys DROP CONSTRAINT no")
    fired = await fire(ada, made["id"], key="k", json={})

    problem_of(failed, 503)
    assert before == []
    assert "idempotent-replayed" not in fired.headers
    assert len(await read_all(ada, "/events")) == 1
    assert (await read(ada, made["id"]))["fire_count"] == 1


async def test_a_key_has_1_to_255_characters(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)
    for key, good in (
        ("", False),
        ("x", True),
        ("x" * 255, True),
        ("x" * 256, False),
        ("x" * 5000, False),
        ('"quoted, with spaces; and %00"', True),
        ("a'b\\", True),
    ):
        answer = await fire(ada, made["id"], key=key)

        if good:
            again = await fire(ada, made["id"], key=key)
            assert again.headers["location"] == answer.headers["location"], key
        else:
            assert places_of(answer) == ["idempotency-key"]


async def test_bytes_that_no_key_should_have_are_refused_or_kept_apart(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(ada)
    path = f"/triggers/{made['id']}/trigger"

    nul = await ada.post(path, headers=[(b"idempotency-key", b"a\0b")])
    high = [
        await ada.post(path, headers=[(b"idempotency-key", key)])
        for key in (b"\xff", b"\xfe", "ü".encode(), b"\xff")
    ]

    assert places_of(nul) == ["idempotency-key"]
    locations = [answer.headers["location"] for answer in high]
    assert locations[0] == locations[3]
    assert len(set(locations)) == 3
