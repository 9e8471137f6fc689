"""Triggers and destinations have keys of their own, and triggers name destinations by them."""

import re
from typing import Any

import httpx
import pytest

from event_trigger.web.changes import changes_between, is_same
from event_trigger.web.keys import KEY_PATTERN, LONGEST_KEY, check_key
from tests.support.destinations import make_destination
from tests.support.keys import holding, make_key
from tests.support.problems import places_of, problem_of
from tests.support.services import Service
from tests.support.triggers import change, make_api, make_scheduled, read

URL = "https://1.1.1.1/hook"
RIGHT = ("a", "7", "12345", "nightly-report", "0x", "7.up", "x_.-", "9" * LONGEST_KEY)
WRONG = (
    "",
    "A",
    "aB",
    "x~",
    ".a",
    "-a",
    "_a",
    "~a",
    "a b",
    "a/b",
    "ä",
    "a\n",
    "a" * (LONGEST_KEY + 1),
)


@pytest.mark.parametrize("key", RIGHT)
def test_a_key_has_small_letters_digits_and_three_marks(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", WRONG)
def test_what_has_capitals_or_needs_escaping_is_no_key(key: str) -> None:
    with pytest.raises(ValueError, match="letters"):
        check_key(key)


def test_json_is_compared_by_its_meaning() -> None:
    same: list[tuple[Any, Any]] = [
        ({"a": 1, "b": [1.0]}, {"b": [1], "a": 1.0}),
        (None, None),
        ("x", "x"),
        ({}, {}),
    ]
    other: list[tuple[Any, Any]] = [
        (1, True),
        ({}, None),
        ([1, 2], [2, 1]),
        ({"a": None}, {}),
        ("1", 1),
        (0, False),
    ]

    assert all(is_same(*pair) and not [*changes_between(*pair)] for pair in same)
    assert not any(is_same(*pair) or not [*changes_between(*pair)] for pair in other)
    before, after = {"a": {"b/c": 1, "d": [1]}, "e": 5}, {"a": {"d": [2]}, "e": 5, "f": None}
    assert [*changes_between(before, after)] == [
        ("#/a/b~1c", 1, None),
        ("#/a/d", [1], [2]),
        ("#/f", None, None),
    ]


async def test_a_key_is_made_changed_dropped_and_unique_in_its_project(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    for path, body in (("/triggers", {"type": "api"}), ("/destinations", {"url": URL})):
        first = (await ada.post(path, json={**body, "key": "one"})).json()
        other = (await ada.post(path, json=body)).json()
        one, two = f"{path}/{first['id']}", f"{path}/{other['id']}"

        again = await ada.post(path, json={**body, "key": "one"})
        renamed = await ada.patch(two, json={"key": "one"})
        longer = await ada.patch(two, json={"key": "one.two"})
        dropped = await ada.patch(one, json={"key": None})
        taken_over = await ada.patch(two, json={"key": "one"})
        elsewhere = await bob.post(path, json={**body, "key": "one"})

        assert (first["key"], other["key"]) == ("one", None)
        for refused in (again, renamed):
            problem = problem_of(refused, 409)
            assert problem["type"].endswith(":key-taken")
            assert [error["pointer"] for error in problem["errors"]] == ["#/key"]
        assert [each.json()["key"] for each in (longer, dropped, taken_over)] == [
            "one.two",
            None,
            "one",
        ]
        assert elsewhere.status_code == 201
        assert [each["key"] for each in (await ada.get(path)).json()] == ["one", None]


async def test_what_is_no_key_is_refused_with_what_to_write(ada: httpx.AsyncClient) -> None:
    trigger, destination = await make_api(ada), await make_destination(ada, URL)
    for key in ("One", "a b", "", 5):
        refused = (
            await ada.post("/triggers", json={"type": "api", "key": key}),
            await ada.patch(f"/triggers/{trigger['id']}", json={"key": key}),
            await ada.post("/destinations", json={"url": URL, "key": key}),
            await ada.patch(f"/destinations/{destination['id']}", json={"key": key}),
        )

        assert [places_of(answer) for answer in refused] == [["#/key"]] * 4, key


async def test_the_key_of_a_deleted_one_is_free(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for path, body in (("/triggers", {"type": "api"}), ("/destinations", {"url": URL})):
        made = (await ada.post(path, json={**body, "key": "one"})).json()
        assert (await ada.delete(f"{path}/{made['id']}")).status_code == 204

        assert (await ada.post(path, json={**body, "key": "one"})).status_code == 201

    log = (await admin.get("/audit", params={"action": "create_trigger"})).json()
    assert [entry["after"]["key"] for entry in log] == ["one", "one"]


async def test_a_trigger_names_destinations_by_id_and_by_key(
    service: Service, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    first, second = [
        (await make_destination(ada, URL, key=key))["id"] for key in ("first", "second")
    ]
    await make_destination(bob, URL, key="his")
    trigger = await make_api(ada, destinations=["second", first, second])
    blind = holding(service, await make_key(ada, "triggers:write", "triggers:read"))
    path = f"/triggers/{trigger['id']}"

    changed = await change(ada, trigger["id"], {"destinations": ["first", first]})
    unchanged = await blind.patch(path, json={"destinations": [first], "name": "seen"})
    unseen = await blind.patch(path, json={"destinations": ["first"]})
    refused = [
        await ada.patch(path, json={"destinations": [first, name]})
        for name in ("his", "none", "a b", 0, True, None, 2**63)
    ]

    assert trigger["destinations"] == [second, first]
    assert changed["destinations"] == [first]
    assert unchanged.status_code == 200
    assert problem_of(unseen, 403)["type"].endswith(":missing-scope")
    assert [places_of(answer) for answer in refused] == [["#/destinations/1"]] * 7


async def test_only_a_schedule_that_completes_may_delete_its_trigger(
    ada: httpx.AsyncClient,
) -> None:
    once: dict[str, Any] = {"interval": 30}
    made = await make_scheduled(ada, once, on_completion="delete")
    called = await make_api(ada, on_completion="keep")

    kept = [
        await change(ada, made["id"], {"on_completion": value})
        for value in ("delete", "keep", None)
    ]
    refused = (
        await ada.post("/triggers", json={"type": "api", "on_completion": "delete"}),
        await ada.patch(f"/triggers/{called['id']}", json={"on_completion": "delete"}),
        await ada.patch(f"/triggers/{made['id']}", json={"on_completion": "forget"}),
    )

    assert [one["on_completion"] for one in (made, *kept)] == ["delete", "delete", "keep", "keep"]
    assert [places_of(answer) for answer in refused] == [["#/on_completion"]] * 3
    assert (await read(ada, called["id"]))["on_completion"] == "keep"


def test_the_documented_pattern_is_the_rule() -> None:
    documented = re.compile(KEY_PATTERN)

    assert all(documented.search(key) for key in RIGHT)
    assert not any(
        documented.search(key) for key in WRONG if "\n" not in key and len(key) <= LONGEST_KEY
    )
