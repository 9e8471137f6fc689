"""An answer may be sent back, unless somebody has changed the trigger since."""

import asyncio
from typing import Any

import httpx
import pytest

from event_trigger.web.entity_tags import PreconditionFailed, Preconditions, etag
from event_trigger.web.mask import MASK
from tests.support.databases import connect
from tests.support.destinations import make_destination
from tests.support.problems import places_of, problem_of
from tests.support.services import Service
from tests.support.triggers import instant, make_api, make_scheduled, read
from tests.support.waiting import eventually

URL = "https://1.1.1.1/hook"
FUTURE = "2100-01-01T00:00:00Z"
JSON = {"content-type": "application/json"}
TRIGGERS: dict[str, dict[str, Any]] = {
    "an API": {"type": "api"},
    "a hook": {"type": "api", "details": {"hook": {"verify": "github"}}, "key": "hooked"},
    "a schema": {
        "type": "api",
        "details": {"schema": {"type": ["object", "null"], "properties": {"a": {"minimum": 1.5}}}},
        "payload": {"a": 2, "z": None, "b": [1.0, {"c": True}]},
    },
    "a time": {"type": "scheduled", "details": {"time": "2100-01-01T01:00:00.5+01:00"}},
    "a past time": {"type": "scheduled", "details": {"time": "2020-01-01T00:00:00Z"}},
    "an interval": {"type": "scheduled", "details": {"interval": 0.5}, "on_completion": "delete"},
    "a grid": {
        "type": "scheduled",
        "details": {"time": FUTURE, "interval": "PT90S", "recurring": True, "max_fires": 7},
    },
    "a repeated hour": {
        "type": "scheduled",
        "details": {
            "time": "2027-10-31T01:30:00Z",
            "interval": "P1D",
            "recurring": True,
            "timezone": "Europe/Berlin",
        },
    },
    "a rule from a repeated hour": {
        "type": "scheduled",
        "details": {
            "time": "2027-10-31T02:30:00+01:00",
            "rrule": "FREQ=DAILY;COUNT=3",
            "timezone": "Europe/Berlin",
        },
    },
    "a cron": {
        "type": "scheduled",
        "name": "n",
        "tags": ["b", "a"],
        "details": {
            "cron": "30 2 * * *",
            "timezone": "Europe/Berlin",
            "until": FUTURE,
            "catch_up": "all",
            "catch_up_window": 60,
        },
    },
}
DESTINATIONS: dict[str, dict[str, Any]] = {
    "a URL": {"url": URL},
    "everything": {
        "url": URL,
        "key": "billing",
        "description": "d",
        "headers": {"Authorization": "Bearer x", "X-Two": "2"},
        "timeout": 5.5,
        "rate_limit": 2,
        "max_concurrency": 3,
    },
}


ODD_VALUES: list[Any] = [[], {}, "odd", -1, True]


async def make_all(client: httpx.AsyncClient) -> dict[str, str]:
    """Makes one of each kind, a paused and a disabled one as well; gives the paths by name."""
    paths = {}
    for root, bodies in (("/destinations", DESTINATIONS), ("/triggers", TRIGGERS)):
        for name, body in bodies.items():
            more = {"destinations": ["billing"]} if root == "/triggers" else {}
            made = await client.post(root, json={**body, **more})
            assert made.status_code == 201, (name, made.text)
            paths[name] = f"{root}/{made.json()['id']}"
    paused, disabled = await make_scheduled(client), await make_destination(client, URL)
    paths["paused"] = f"/triggers/{paused['id']}"
    paths["disabled"] = f"/destinations/{disabled['id']}"
    await client.post(f"{paths['paused']}/pause")
    await client.post(f"{paths['disabled']}/disable")
    return paths


async def test_every_answer_may_be_sent_back_and_changes_nothing(ada: httpx.AsyncClient) -> None:
    for name, path in (await make_all(ada)).items():
        before = await ada.get(path)

        for method in ("PUT", "PATCH"):
            sent = await ada.request(method, path, content=before.content, headers=JSON)

            assert sent.status_code == 200, (name, method, sent.text)
            assert before.json().items() <= sent.json().items(), (name, method)
            assert sent.headers["etag"] == before.headers["etag"]
            again = await ada.put(path, json=sent.json())
            assert again.status_code == 200, (name, method, again.text)
        after = await ada.get(path)
        assert after.json() == before.json(), name
        assert after.headers["etag"] == before.headers["etag"]


async def test_a_schedule_from_a_repeated_hour_begins_at_its_time(ada: httpx.AsyncClient) -> None:
    for name in ("a repeated hour", "a rule from a repeated hour"):
        made = (await ada.post("/triggers", json=TRIGGERS[name])).json()
        shown = await ada.get(f"/triggers/{made['id']}/schedule?from=2027-10-30T00:00:00Z&count=3")

        assert made["next_fire_at"] == "2027-10-31T01:30:00Z", name
        assert [one["at"] for one in shown.json()["instants"]] == [
            "2027-10-31T01:30:00Z",
            "2027-11-01T01:30:00Z",
            "2027-11-02T01:30:00Z",
        ]


async def test_read_only_fields_that_differ_are_named(ada: httpx.AsyncClient) -> None:
    trigger, destination = await make_api(ada), await make_destination(ada, URL)
    trigger = await read(ada, trigger["id"])
    destination.pop("secret")
    instants = ("last_fired_at", "created_at", "updated_at", "error", "hook_url")
    wrong_trigger = {"id": 0, "status": "paused", "fire_count": 7, "next_fire_at": FUTURE}
    wrong_trigger |= dict.fromkeys(instants, FUTURE)
    wrong_trigger |= {"warnings": ["x"], "hook_secret": "x"}
    wrong_destination = {"id": 0, "status": "disabled", "disabled_reason": "gone", "state": "open"}
    wrong_destination |= {"failures": 1, "held_until": FUTURE, "created_at": FUTURE}
    wrong_destination |= {"updated_at": FUTURE, "warnings": ["x"]}

    for path, read_before, wrong in (
        (f"/triggers/{trigger['id']}", trigger, wrong_trigger),
        (f"/destinations/{destination['id']}", destination, wrong_destination),
    ):
        for name, value in wrong.items():
            for method in ("PUT", "PATCH"):
                body = {**read_before, name: value}
                refused = await ada.request(method, path, json=body)
                assert places_of(refused) == [f"#/{name}"], (method, name)
        all_wrong = await ada.patch(path, json=wrong)
        assert places_of(all_wrong) == [f"#/{name}" for name in wrong]
        assert (await ada.get(path)).json() == read_before
    advice = await ada.patch(f"/triggers/{trigger['id']}", json={"status": "paused"})
    assert "/pause" in advice.text


async def test_what_firing_has_moved_on_is_no_change(ada: httpx.AsyncClient) -> None:
    every_second = {"interval": "PT1S", "recurring": True, "max_fires": 2}
    made = await make_scheduled(ada, every_second)
    early = await read(ada, made["id"])
    done = await eventually(
        lambda: read(ada, made["id"]), lambda seen: seen["status"] == "completed"
    )

    moved = {**early, "status": "completed", "name": "other"}
    sent = await ada.put(f"/triggers/{made['id']}", json=moved)
    stale = await ada.put(f"/triggers/{made['id']}", json=moved)

    assert (early["fire_count"], done["fire_count"]) == (0, 2)
    assert (sent.status_code, sent.json()["name"]) == (200, "other")
    assert sent.json()["fire_count"] == 2
    assert places_of(stale) == ["#/updated_at"]


async def test_what_the_service_has_moved_on_is_no_change_for_who_has_the_tag(
    service: Service, ada: httpx.AsyncClient
) -> None:
    gone, failing = await make_destination(ada, URL), await make_destination(ada, URL)
    once = await make_scheduled(ada, {"interval": "PT2S"})
    paths = [f"/triggers/{once['id']}", *(f"/destinations/{one['id']}" for one in (gone, failing))]
    early = [await ada.get(path) for path in paths]
    await eventually(lambda: read(ada, once["id"]), lambda seen: seen["status"] == "completed")
    database = await connect(service.database_url)
    await database.execute(
        "UPDATE destinations SET disabled_reason = 'gone' WHERE id = $1", gone["id"]
    )
    await database.execute(
        """UPDATE destinations SET failures = 7, "window" = 1, held_until = now() WHERE id = $1""",
        failing["id"],
    )
    await database.close()

    for path, seen, moved in zip(
        paths,
        early,
        (["status"], ["status", "disabled_reason"], ["state", "failures", "held_until"]),
        strict=True,
    ):
        tag = {"if-match": seen.headers["etag"]}
        late = await ada.get(path)
        for method in ("PATCH", "PUT"):
            sent = await ada.request(method, path, json=seen.json(), headers=tag)
            unknown = await ada.request(method, path, json=seen.json(), headers={"if-match": "*"})

            assert sent.status_code == 200, (path, sent.text)
            assert sent.headers["etag"] == late.headers["etag"] == seen.headers["etag"]
            assert late.json().items() <= sent.json().items()
            assert {f"#/{name}" for name in moved} <= {*places_of(unknown)}
        for wish in {"paused", "active", "enabled"} - {late.json()["status"]}:
            refused = await ada.patch(path, json={**late.json(), "status": wish}, headers=tag)
            assert places_of(refused) == ["#/status"], (path, wish)
        for name in moved:
            for odd in ODD_VALUES:
                refused = await ada.patch(path, json={name: odd}, headers=tag)
                assert places_of(refused) == [f"#/{name}"], (path, name, odd)


async def test_firing_leaves_the_tag_and_a_person_changes_it(ada: httpx.AsyncClient) -> None:
    destination = (await make_destination(ada, URL))["id"]
    made = await make_api(ada, destinations=[destination])
    path = f"/triggers/{made['id']}"

    async def tag() -> str:
        return str((await ada.get(path)).headers["etag"])

    tags = [await tag()]
    await ada.post(f"{path}/trigger")
    await ada.patch(path, json={"name": None})
    fired = await tag()
    for verb in ("pause", "resume"):
        answer = await ada.post(f"{path}/{verb}")
        assert answer.headers["etag"] == await tag()
        tags.append(await tag())
    patched = await ada.patch(path, json={"payload": {"a": 1}})
    tags.append(await tag())
    await ada.delete(f"/destinations/{destination}")
    tags.append(await tag())

    assert fired == tags[0]
    assert patched.headers["etag"] == tags[3]
    assert len(set(tags)) == len(tags)
    assert all(one[0] == one[-1] == '"' for one in tags)


async def test_a_reader_who_has_it_is_told_so(ada: httpx.AsyncClient) -> None:
    for name, path in (await make_all(ada)).items():
        tag = (await ada.get(path)).headers["etag"]

        for header in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            known = await ada.get(path, headers={"if-none-match": header})
            assert (known.status_code, known.content) == (304, b""), (name, header)
            assert known.headers["etag"] == tag
        other = await ada.get(path, headers={"if-none-match": '"x"'})
        assert (other.status_code, other.headers["etag"]) == (200, tag)
    by_key = await ada.get("/triggers/by-key/hooked", headers={"if-none-match": "*"})
    assert by_key.status_code == 304


async def test_of_two_editors_the_second_learns_of_the_first(ada: httpx.AsyncClient) -> None:
    for name, path in (await make_all(ada)).items():
        seen = await ada.get(path)
        tag = {"if-match": seen.headers["etag"]}
        key = {"key": f"renamed-{path.rpartition('/')[2]}"}

        first = await ada.patch(path, json=key, headers=tag)
        refused = [
            await ada.patch(path, json={"key": None}, headers=tag),
            await ada.put(path, json=seen.json(), headers=tag),
            await ada.delete(path, headers=tag),
            await ada.patch(path, json={}, headers={"if-match": f"W/{first.headers['etag']}"}),
        ]
        listed = f'"x", {first.headers["etag"]}'
        after = await ada.get(path)
        second = await ada.patch(path, json={"key": None}, headers={"if-match": listed})
        deleted = await ada.delete(path, headers={"if-match": "*"})

        assert first.status_code == 200, (name, first.text)
        for answer in refused:
            assert problem_of(answer, 412)["type"].endswith(":precondition-failed")
        assert after.json()["key"] == key["key"]
        assert (second.status_code, deleted.status_code) == (200, 204), name


async def test_a_put_may_ask_that_nothing_is_there_or_something(
    service: Service, ada: httpx.AsyncClient
) -> None:
    for root, body in (("/triggers", {"type": "api"}), ("/destinations", {"url": URL})):
        path = f"{root}/by-key/one"

        absent = await ada.put(path, json=body, headers={"if-match": "*"})
        made = await ada.put(path, json=body, headers={"if-none-match": "*"})
        there = await ada.put(path, json=body, headers={"if-none-match": "*"})
        tag = {"if-match": made.headers["etag"]}
        by_id = made.headers["location"]
        also_there = await ada.put(by_id, json=body, headers={"if-none-match": "*"})
        replaced = await ada.put(path, json={**body, "key": "one"}, headers=tag)
        deleted = await ada.delete(path, headers=tag)

        statuses = [one.status_code for one in (absent, made, there, replaced, deleted)]
        assert statuses == [412, 201, 412, 200, 204]
        assert problem_of(also_there, 412) == problem_of(there, 412)
        assert problem_of(there, 412)["detail"] != problem_of(absent, 412)["detail"]


async def test_patches_at_once_with_one_tag_have_one_winner(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)
    path = f"/triggers/{made['id']}"
    tag = {"if-match": (await ada.get(path)).headers["etag"]}

    answers = await asyncio.gather(
        *(ada.patch(path, json={"name": f"n{n}"}, headers=tag) for n in range(8))
    )

    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 7]


@pytest.mark.parametrize("header", ["x", '"x"', 'W/"a"', "a", "", '"a', '"b", W/"a"'])
def test_a_tag_that_is_not_named_does_not_match(header: str) -> None:
    with pytest.raises(PreconditionFailed):
        Preconditions(header).check('"a"')


def test_tags_are_strong_and_differ_by_their_parts() -> None:
    made = {etag("a", 1), etag("a", 2), etag("b", 1), etag("a", "1")}

    assert len(made) == 4
    for tag in made:
        Preconditions(f'"x" ,{tag}').check(tag)
        Preconditions(if_none_match='"x"').check(tag)
        Preconditions(if_none_match="*").check(None)


async def test_stars_keep_a_headers_value_where_there_is_one(
    service: Service, ada: httpx.AsyncClient
) -> None:
    made = await make_destination(ada, URL, headers={"X-One": "1", "X-Two": "2"})
    path = f"/destinations/{made['id']}"
    both = {"X-One": MASK, "X-Two": MASK}

    changed = await ada.patch(path, json={"headers": {"x-one": MASK, "X-Three": "3"}})
    fewer = await ada.put(path, json={"url": URL, "headers": {"X-Two": MASK}})
    refused = [
        await ada.put(path, json={"url": URL, "headers": both}),
        await ada.patch(path, json={"headers": {"X-New": MASK}}),
        await ada.patch(path, json={"url": "https://1.1.1.2/", "headers": {"X-Two": MASK}}),
        await ada.put("/destinations/by-key/new", json={"url": URL, "headers": both}),
        await ada.post("/destinations", json={"url": URL, "headers": both}),
    ]

    assert changed.json()["headers"].keys() == {"x-one", "X-Two", "X-Three"}
    assert fewer.json()["headers"] == {"X-Two": MASK}
    assert [places_of(answer) for answer in refused] == [["#/headers"]] * 5


async def test_a_put_of_another_origin_makes_a_new_secret(ada: httpx.AsyncClient) -> None:
    body = {"url": URL, "headers": {"X-One": "1"}, "timeout": 5}
    made = (await ada.put("/destinations/by-key/one", json=body)).json()

    same = (await ada.put("/destinations/by-key/one", json=body)).json()
    moved = (
        await ada.put("/destinations/by-key/one", json={**body, "url": "https://1.1.1.2/"})
    ).json()

    assert same == {**made, "secret": None}
    assert moved["secret"] not in {None, made["secret"]}
    assert (moved["id"], moved["headers"], len(moved["warnings"])) == (
        made["id"],
        {"X-One": MASK},
        1,
    )
    assert instant(moved["updated_at"]) > instant(made["updated_at"])


async def test_an_unchanged_url_is_not_checked_again(
    service: Service, ada: httpx.AsyncClient
) -> None:
    made = await make_destination(ada, URL)
    connection = await connect(service.database_url)
    await connection.execute("UPDATE destinations SET url = 'https://1.1.1.1/a/../b'")
    await connection.close()
    path = f"/destinations/{made['id']}"

    sent_back = await ada.put(path, json=(await ada.get(path)).json())
    new = await ada.put(path, json={"url": "https://1.1.1.1/a/../c"})

    assert sent_back.status_code == 200
    assert places_of(new) == ["#/url"]
