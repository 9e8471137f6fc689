"""Results go to stdout in one of five formats, and no terminal takes them as a command."""

import json

import pytest
import yaml

from event_trigger_client.cli.editing import merge_patch
from tests.client_cli.conftest import Terminal

_HOSTILE = "a\x1b[2Jb\u202ec\x9bd"


async def test_each_format_prints_the_same_things(ada_at: Terminal) -> None:
    for key in ("first", "second"):
        await ada_at.do("triggers", "create", key, "--cron", "0 2 * * *", "--name", "Über")

    async def printed(format_: str) -> str:
        return await ada_at.do("triggers", "list", "-o", format_)

    as_json = json.loads(await printed("json"))
    assert [one["key"] for one in as_json] == ["second", "first"]
    assert [json.loads(one) for one in (await printed("ndjson")).splitlines()] == as_json
    assert yaml.safe_load(await printed("yaml")) == as_json
    assert await printed("name") == "second\nfirst\n"
    head, *rows = (await printed("table")).splitlines()
    assert head.split() == ["ID", "KEY", "TYPE", "SCHEDULE", "STATUS", "NEXT_FIRE_AT", "FIRE_COUNT"]
    assert [row.split()[1] for row in rows] == ["second", "first"]
    assert "Über" in await printed("json")


async def test_one_thing_is_an_object_in_each_format(ada_at: Terminal) -> None:
    await ada_at.do("triggers", "create", "a")

    as_json = json.loads(await ada_at.do("triggers", "get", "a", "-o", "json"))

    assert json.loads(await ada_at.do("triggers", "get", "a", "-o", "ndjson")) == as_json
    assert yaml.safe_load(await ada_at.do("triggers", "get", "a", "-o", "yaml")) == as_json
    assert await ada_at.do("triggers", "get", "a", "-o", "name") == "a\n"
    assert "fire_count" in await ada_at.do("triggers", "get", "a")


async def test_no_format_prints_a_character_that_a_terminal_obeys(ada_at: Terminal) -> None:
    await ada_at.do("api", "POST", "/triggers", "-d", json.dumps({"type": "api", "name": _HOSTILE}))

    for format_ in ("table", "json", "ndjson", "yaml", "name"):
        printed = await ada_at.do("triggers", "list", "-o", format_)

        assert not {"\x1b", "\x9b"} & set(printed), format_
    as_json = await ada_at.do("triggers", "list", "-o", "json")
    assert "\u202e" not in as_json
    assert json.loads(as_json)[0]["name"] == _HOSTILE


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"d": {"cron": "x"}}, {"d": {"interval": "y"}}, {"d": {"cron": None, "interval": "y"}}),
        ({"t": ["a"]}, {"t": []}, {"t": []}),
        ({"p": {"a": 1}}, {"p": None}, {"p": None}),
        ({"p": None}, {"p": {"a": 1}}, {"p": {"a": 1}}),
    ],
)
def test_the_difference_of_two_objects_is_a_merge_patch(
    before: dict[str, object], after: dict[str, object], patch: dict[str, object]
) -> None:
    assert merge_patch(before, after) == patch
