"""Users' schemas check payloads, without network access and in bounded time."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.errors import FieldError
from event_trigger.triggers.payload_schema import (
    MAX_DETAIL_CHARACTERS,
    MAX_ERRORS,
    MAX_NAME_CHARACTERS,
    check_schema,
    payload_errors,
)
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.triggers import change, make_api, make_scheduled, read

ORDER = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["order"],
    "properties": {
        "order": {"type": "integer", "minimum": 1},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "a/b~c": {"type": "string"},
    },
    "$defs": {"line": {"type": "object", "properties": {"sku": {"type": "string"}}}},
}
CANARY = "canary-3f9a"


def places(schema: dict[str, Any], payload: dict[str, Any] | None, *at: str) -> list[str]:
    return [error.name for error in payload_errors(schema, payload, *at)]


def nested(levels: int, wrap: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"b": {}}}
    for _ in range(levels):
        schema = wrap(schema)
    return schema


# What matches, and where it does not


def test_a_payload_that_matches_has_no_errors() -> None:
    payload = {"order": 1, "lines": [{"sku": "x"}, {}], "more": None}

    assert places(ORDER, payload) == []


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (None, ["#"]),
        ({}, ["#"]),
        ({"order": 0}, ["#/order"]),
        ({"order": "1"}, ["#/order"]),
        ({"order": 1, "lines": [{}, {"sku": 5}, 7]}, ["#/lines/1/sku", "#/lines/2"]),
        ({"order": 1.5, "a/b~c": 5}, ["#/a~1b~0c", "#/order"]),
    ],
)
def test_each_failing_path_is_named(payload: dict[str, Any] | None, expected: list[str]) -> None:
    assert sorted(places(ORDER, payload)) == expected
    prefixed = [one.replace("#", "#/payload", 1) for one in expected]
    assert sorted(places(ORDER, payload, "payload")) == prefixed


def test_a_property_that_is_one_too_many_is_pointed_at() -> None:
    for word in ("additionalProperties", "unevaluatedProperties"):
        schema = {"properties": {"a": True, "deep": {"properties": {}, word: False}}, word: False}

        found = places(schema, {"a": 1, "x/y": 1, "deep": {"z": 1}})

        assert sorted(found) == ["#/deep/z", "#/x~1y"]


def test_no_value_is_repeated_and_no_name_but_in_a_path() -> None:
    for schema, payload in (
        ({"properties": {"a": {"type": "number"}}}, {"a": CANARY}),
        ({"properties": {"a": {"enum": [1]}}}, {"a": [CANARY]}),
        ({"properties": {"a": {"const": 1}}}, {"a": {CANARY: CANARY}}),
        ({"properties": {"a": {"pattern": "^x"}}}, {"a": CANARY}),
        ({"properties": {"a": {"maxLength": 2}}}, {"a": CANARY}),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [CANARY, CANARY]}),
        ({"properties": {"a": {"not": {"type": "string"}}}}, {"a": CANARY}),
        ({"properties": {"a": {"oneOf": [True, True]}}}, {"a": CANARY}),
        ({"properties": {"a": {"anyOf": [{"type": "null"}]}}}, {"a": CANARY}),
        ({"properties": {"a": {"contains": {"type": "null"}}}}, {"a": [CANARY]}),
        ({"properties": {"a": False}}, {"a": CANARY}),
        ({"propertyNames": {"maxLength": 2}}, {CANARY: CANARY}),
        ({"propertyNames": {"enum": ["a"]}}, {CANARY: CANARY}),
        ({"propertyNames": False}, {CANARY: CANARY}),
        ({"maxProperties": 0}, {CANARY: CANARY}),
        ({"additionalProperties": False}, {CANARY: CANARY}),
        ({"properties": {}, "additionalProperties": False}, {CANARY: CANARY}),
        ({"unevaluatedProperties": False}, {CANARY: CANARY}),
    ):
        errors = payload_errors(schema, payload)

        assert errors, schema
        assert all(CANARY not in error.detail for error in errors), schema


def test_errors_are_bounded_in_number_and_length() -> None:
    schema = {
        "properties": {"e": {"enum": ["x" * 500] * 3}},
        "patternProperties": {"^n": {"type": "string"}},
        "additionalProperties": False,
    }
    payload = {
        "e": 1,
        **{f"n{n:0200}": n for n in range(15)},
        **{f"z{n:0200}": 1 for n in range(15)},
    }

    errors = payload_errors(schema, payload)

    assert len(errors) == MAX_ERRORS
    assert all(len(error.name) <= MAX_NAME_CHARACTERS + 2 for error in errors)
    assert all(len(error.detail) <= MAX_DETAIL_CHARACTERS for error in errors)


# Hostile schemas


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"type": 5},
        {"type": ["object", "x"]},
        {"properties": []},
        {"required": "a"},
        {"required": ["a", "a"]},
        {"minimum": "1"},
        {"multipleOf": 0},
        {"maxLength": -1},
        {"enum": 5},
        {"items": 5},
        {"$schema": 5},
        {"$ref": 5},
        {"$defs": 5},
        {"properties": {"a": {"pattern": "("}}},
        {"patternProperties": {"(": True}},
        {"$schema": "http://127.0.0.1:1/meta"},
        {"$schema": "file:///etc/passwd"},
        {"$id": "http://["},
        {"$id": "#fragment"},
        {"$id": 5},
    ],
    ids=str,
)
def test_what_is_no_json_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a valid JSON Schema"):
        check_schema(schema)


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:1/x",
        "https://example.com/schema.json",
        "//127.0.0.1:1/x",
        "file:///etc/passwd",
        "other.json",
        "urn:x",
        "?x",
        "#anchor",
        "",
        "#/%24defs/a",
        "#/$defs/a%62",
    ],
)
def test_a_reference_may_only_point_into_its_schema(reference: str) -> None:
    definitions = {"a": {"$anchor": "anchor"}, "ab": True, "a%62": True}
    for schema in (
        {"$ref": reference, "$defs": definitions},
        {"properties": {"a": {"items": [{"not": {"$ref": reference}}]}}, "$defs": definitions},
    ):
        with pytest.raises(ValueError, match="must point into the same schema"):
            check_schema(schema)


@pytest.mark.parametrize("reference", ["#/$defs/b", "#/x", "#/allOf/9", "#/allOf/x", "#/$defs/a/y"])
def test_a_reference_must_point_at_something(reference: str) -> None:
    with pytest.raises(ValueError, match="points at nothing"):
        check_schema({"$defs": {"a": {}}, "allOf": [{"$ref": reference}]})


def test_a_reference_to_what_is_no_schema_is_refused() -> None:
    for target in ("x", 5, None, ["x"]):
        with pytest.raises(ValueError, match="JSON Schema"):
            check_schema({"$ref": "#/const", "const": target})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"properties": {"a": {"$ref": "#"}}},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {
            "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}},
            "$ref": "#/$defs/a",
        },
        {"$defs": {"a": {"properties": {"x": {"$ref": "#/$defs"}}}}, "$ref": "#/$defs/a"},
    ],
    ids=str,
)
def test_a_schema_must_not_refer_to_itself(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must not refer to itself"):
        check_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$id": "http://x/", "$ref": "#/$defs/b"}}, "$defs": {"b": True}},
        {"$dynamicRef": "#"},
        {"$dynamicRef": "#meta", "$dynamicAnchor": "meta"},
        {"properties": {"a": {"$dynamicRef": "#meta"}}, "$dynamicAnchor": "meta"},
        {"$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveRef": "#"},
        {
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "properties": {"a": {"$recursiveRef": "#"}},
        },
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {"a": {"id": "http://x/"}},
        },
    ],
    ids=str,
)
def test_nothing_moves_what_references_point_at(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be static"):
        check_schema(schema)


def test_what_only_looks_like_a_reference_is_none() -> None:
    names = {name: {"type": "string"} for name in ("$ref", "$id", "id", "$dynamicRef", "pattern")}
    for schema in (
        {"$id": "http://127.0.0.1:1/mine", "$ref": "#/$defs/a", "$defs": {"a": {}}},
        {"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://x/", "title": "mine"},
        {"properties": names},
        {"properties": {"kind": {"enum": [{"id": "x"}]}}},
        {"$ref": "#/$defs/a~1b~0/allOf/1", "$defs": {"a/b~": {"allOf": [True, {}]}}},
    ):
        assert check_schema(schema) is schema
        assert payload_errors(schema, {}) == []


def test_nulls_in_a_schema_are_values() -> None:
    schema = {"properties": {"a": {"const": None}}}

    assert places(check_schema(schema), {"a": None}) == []
    assert places(schema, {"a": 1}) == ["#/a"]


@pytest.mark.parametrize(
    "schema",
    [
        {  # 2^20 when written out
            "$defs": {
                "d0": {"type": "string"},
                **{f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 21)},
            },
            "properties": {"a": {"$ref": "#/$defs/d20"}},
        },
        {"anyOf": [{"const": n} for n in range(1000)]},
        {"enum": list(range(1001))},
        {"required": [str(n) for n in range(1001)]},
        {"patternProperties": {rf"\pL{{9}}{n}": True for n in range(50)}},
        {"allOf": [{"pattern": rf"\pL{{9}}{n}"} for n in range(50)]},
        nested(14, lambda inner: {"if": inner, "unevaluatedProperties": False}),
        nested(14, lambda inner: {"anyOf": [inner], "unevaluatedProperties": False}),
        nested(14, lambda inner: {"allOf": [inner], "unevaluatedItems": False}),
    ],
    ids=["refs", "anyOf", "enum", "required", "patterns", "pattern", "if", "nested", "items"],
)
def test_a_schema_that_would_take_too_long_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="more than 1000 parts"):
        check_schema(schema)


def test_a_huge_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="16384 characters"):
        check_schema({"description": "x" * 16384})


def test_a_chain_of_references_that_is_too_long_is_refused() -> None:
    chain = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(499)} | {"d499": {}}

    with pytest.raises(ValueError, match=r"too deeply|more than 1000 parts"):
        check_schema({"$defs": chain, "$ref": "#/$defs/d0"})


@pytest.mark.parametrize("pattern", ["(a{100}){100}", r"((\pL{50}){50}){50}", "(?=a)", r"(a)\1"])
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused(pattern: str) -> None:
    for schema in (
        {"properties": {"a": {"pattern": f"({pattern}){{9}}"}}},
        {"patternProperties": {f"({pattern}){{9}}": True}},
    ):
        with pytest.raises(ValueError, match="not a valid JSON Schema"):
            check_schema(schema)


def test_a_catastrophic_pattern_is_matched_in_linear_time() -> None:
    schema = check_schema({"properties": {"a": {"pattern": "^(a+)+$"}}})

    assert places(schema, {"a": "a" * 500_000 + "!"}) == ["#/a"]
    assert places(schema, {"a": "a" * 500_000}) == []


def test_numbers_of_any_size_are_compared() -> None:
    schema = check_schema(
        {
            "properties": {
                "a": {"minimum": 10**400},
                "b": {"type": "integer"},
                "c": {"multipleOf": 0.1},
            }
        }
    )

    assert places(schema, {"a": 10**500, "b": -(10**500), "c": 10**500}) == []
    assert places(schema, {"a": 1, "b": 0.5}) == ["#/a", "#/b"]


# Large payloads: each of these took the whole process down, or minutes


def test_a_huge_payload_for_a_complex_schema_is_refused_unseen() -> None:
    each = {"items": {"anyOf": [{"const": n + 0.5} for n in range(450)]}}
    schema = check_schema({"properties": {"a": each}})

    errors = payload_errors(schema, {"a": [1] * 300_000}, "payload")

    assert [error.name for error in errors] == ["#/payload"]
    assert "too large" in errors[0].detail


def test_of_a_large_payload_the_first_error_is_named_only() -> None:
    schema = check_schema({"properties": {"a": {"items": {"type": "string"}}}})

    assert places(schema, {"a": [1] * 300_000}) == ["#/a/0"]
    assert places(schema, {"a": ["1"] * 300_000}) == []


def test_of_a_huge_payload_it_is_said_only_that_it_is_wrong() -> None:
    one_of_many = {"anyOf": [{"type": "string", "minLength": n} for n in range(300)]}
    schema = check_schema({"properties": {"a": one_of_many}})

    errors = payload_errors(schema, {"a": [1] * 9_000}, "payload")

    assert [error.name for error in errors] == ["#/payload"]
    assert "too large to say where" in errors[0].detail


def test_a_long_text_counts_by_its_length() -> None:
    schema = check_schema({"properties": {"a": {"oneOf": [{"const": str(n)} for n in range(450)]}}})

    errors = payload_errors(schema, {"a": "a" * 1_000_000})

    assert "too large" in errors[0].detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**30) | st.floats(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
WORDS = (
    *("type", "properties", "items", "anyOf", "not", "if", "$ref", "$id", "$schema", "$defs"),
    *("enum", "const", "pattern", "patternProperties", "required", "minimum", "propertyNames"),
    *("unevaluatedProperties", "additionalProperties", "format", "$anchor", "$dynamicRef", "id"),
    *("$vocabulary", "contains", "dependentSchemas", "prefixItems", "definitions"),
)
LIKELY: tuple[Any, ...] = (
    *("object", "#", "#/$defs/a", "#/", "(", "^a$", "email", {}, True, False, 1, -1, 10**400, None),
    *("http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#"),
)
words = st.sampled_from(WORDS)
likely = st.sampled_from(LIKELY)
schemas = st.recursive(
    likely | json_values,
    lambda inner: (
        st.dictionaries(words | st.text(max_size=2), inner, max_size=4)
        | st.lists(inner, max_size=3)
    ),
    max_leaves=15,
).filter(lambda schema: isinstance(schema, dict))


@given(schema=schemas, payload=st.dictionaries(st.text(max_size=2), json_values, max_size=3))
def test_any_schema_is_refused_in_words_or_checks_any_payload(schema: Any, payload: Any) -> None:
    errors: Sequence[FieldError] = ()

    try:
        errors = payload_errors(check_schema(schema), payload)
    except ValueError as refusal:
        errors = [FieldError("pointer", "#", str(refusal))]

    assert all(error.name.startswith("#") and error.detail for error in errors)
    assert all(len(error.detail) <= MAX_DETAIL_CHARACTERS for error in errors)


# Through the API


async def test_a_call_whose_merged_payload_breaks_the_schema_is_refused_with_the_paths(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(ada, details={"schema": ORDER}, payload={"order": 1, "lines": []})
    fire = f"/triggers/{made['id']}/trigger"

    refused = await ada.post(fire, json={"order": CANARY, "lines": [{"sku": 5}]})
    unmerged = await ada.post(fire, json={"order": None})
    test = await ada.post(f"/triggers/{made['id']}/test", json={"order": 0})

    assert sorted(places_of(refused)) == ["#/lines/0/sku", "#/order"]
    assert CANARY not in refused.text
    assert problem_of(refused, 422)["detail"] == "The payload does not match details.schema."
    assert places_of(unmerged) == ["#"]
    assert places_of(test) == ["#/order"]
    assert await read_all(ada, "/events") == []
    assert (await read(ada, made["id"]))["fire_count"] == 0


async def test_a_call_whose_merged_payload_matches_fires(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, details={"schema": ORDER}, payload={"lines": [{"sku": "x"}]})

    alone = await ada.post(f"/triggers/{made['id']}/trigger")
    merged = await ada.post(f"/triggers/{made['id']}/trigger", json={"order": 7})

    assert places_of(alone) == ["#"]
    event = (await ada.get(merged.headers["location"])).json()
    assert event["payload"] == {"lines": [{"sku": "x"}], "order": 7}


async def test_without_any_payload_null_must_match(ada: httpx.AsyncClient) -> None:
    demanding = await make_api(ada, details={"schema": {"type": "object"}})
    lenient = await make_api(ada, details={"schema": {"type": ["object", "null"]}})

    refused = await ada.post(f"/triggers/{demanding['id']}/trigger")
    fired = await ada.post(f"/triggers/{lenient['id']}/trigger")

    assert places_of(refused) == ["#"]
    assert (await ada.get(fired.headers["location"])).json()["payload"] is None


async def test_what_a_schedule_will_fire_must_match_already(ada: httpx.AsyncClient) -> None:
    details = {"cron": "@daily", "schema": ORDER}

    refused = await ada.post(
        "/triggers", json={"type": "scheduled", "details": details, "payload": {"order": 0}}
    )
    made = await make_scheduled(ada, details, payload={"order": 1})
    broken = await ada.patch(f"/triggers/{made['id']}", json={"payload": {"order": None}})
    stricter = await ada.patch(
        f"/triggers/{made['id']}", json={"details": {"schema": {"required": ["x"]}}}
    )

    assert places_of(refused) == ["#/payload/order"]
    assert places_of(broken) == ["#/payload"]
    assert places_of(stricter) == ["#/payload"]
    assert (await read(ada, made["id"]))["payload"] == {"order": 1}


async def test_a_schema_is_merged_into_removed_and_checked_when_it_changes(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_api(ada, details={"schema": ORDER})
    fire = f"/triggers/{made['id']}/trigger"

    looser = await change(ada, made["id"], {"details": {"schema": {"required": None}}})
    fired = await ada.post(fire, json={})
    refused = await ada.patch(
        f"/triggers/{made['id']}", json={"details": {"schema": {"type": CANARY}}}
    )
    gone = await change(ada, made["id"], {"details": {"schema": None}})
    anything = await ada.post(fire, json={"order": "x"})

    assert looser["details"]["schema"] == {k: v for k, v in ORDER.items() if k != "required"}
    assert fired.status_code == 200
    assert places_of(refused) == ["#/details/schema"]
    assert CANARY not in refused.text
    assert gone["details"] == {}
    assert anything.status_code == 200


async def test_a_schema_comes_back_as_it_was_written(ada: httpx.AsyncClient) -> None:
    schema = {"z": [None], "enum": [{"a": None}, None], "default": None, "description": "ü"}

    made = await make_api(ada, details={"schema": schema})

    seen = await read(ada, made["id"])
    assert seen["details"] == {"schema": schema}
    assert json.dumps(seen["details"]["schema"]) == json.dumps(schema)


async def test_a_hostile_schema_is_pointed_at_and_nothing_is_made(ada: httpx.AsyncClient) -> None:
    schemas: list[Any] = [
        {"$ref": "http://127.0.0.1:1/x"},
        {"$ref": "#"},
        {"type": CANARY},
        {"properties": {"a": {"pattern": f"({CANARY}"}}},
        {"patternProperties": {f"({CANARY}": True}},
        {"$schema": f"http://127.0.0.1/{CANARY}"},
        [],
        "x",
        True,
    ]
    for schema in schemas:
        answer = await ada.post("/triggers", json={"type": "api", "details": {"schema": schema}})

        assert places_of(answer) == ["#/details/schema"], schema
    assert await read_all(ada, "/triggers") == []


async def test_no_schema_is_fetched(ada: httpx.AsyncClient) -> None:
    asked: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/s"
    schemas: list[dict[str, str]] = [
        {"$ref": address},
        {"$schema": address},
        {"$id": address, "$ref": "other"},
        {"$dynamicRef": address},
        {"$id": address},
    ]
    for schema in schemas:
        answer = await ada.post("/triggers", json={"type": "api", "details": {"schema": schema}})
        if answer.status_code == 201:
            await ada.post(f"{answer.headers['location']}/trigger", json={})
    server.close()
    await server.wait_closed()

    assert asked == []
