"""The OpenAPI document is valid 3.1, and its schemas are good to generate clients from."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.document import described_api, schemas_in


@pytest.fixture
def document() -> dict[str, Any]:
    return described_api()


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    errors = OpenAPIV31SpecValidator(document).iter_errors()

    assert [f"{list(error.absolute_path)}: {error.message}" for error in errors] == []


def test_every_schema_has_a_readable_name(document: dict[str, Any]) -> None:
    for name in document["components"]["schemas"]:
        assert name.isalnum(), f"{name}: name the model, and use one for input and output alike"
    for place, schema in schemas_in(document):
        inline = [one for one in schema.get("anyOf", ()) if one.get("properties") is not None]
        free = [one for one in schema.get("anyOf", ()) if one.get("additionalProperties") is True]
        assert not inline + free, f"{place}: generators number what has no name; use JsonObject"
        nested = [one for one in schema.get("anyOf", ()) if "anyOf" in one]
        assert not nested, f"{place}: a union in a union"


def test_every_integer_tells_its_length_and_ids_have_64_bits(document: dict[str, Any]) -> None:
    for place, schema in schemas_in(document):
        if schema.get("type") == "integer":
            assert schema["format"] in {"int32", "int64"}, place
        for name, field in schema.get("properties", {}).items():
            kinds = [field, *field.get("anyOf", ()), field.get("items", {})]
            is_id = name == "id" or name.endswith(("_id", "_ids"))
            for one in kinds:
                if is_id and one.get("type") == "integer":
                    assert one["format"] == "int64", f"{place}/{name}"


def test_no_body_has_a_default_that_generated_clients_would_send(document: dict[str, Any]) -> None:
    for place, schema in schemas_in(document):
        is_parameters = "/parameters/" in place
        assert is_parameters or "default" not in schema, f"{place}: see PatchModel, _say_default"


def test_no_parameter_is_null(document: dict[str, Any]) -> None:
    for name, operation in _operations(document):
        for parameter in operation.get("parameters", []):
            kinds = [parameter["schema"], *parameter["schema"].get("anyOf", ())]

            assert {"type": "null"} not in kinds, (name, parameter["name"])


def test_every_example_matches_its_schema(document: dict[str, Any]) -> None:
    found = [*_examples_with_schemas(document)]
    validators: dict[str, Any] = {}

    assert len(found) > 100
    for place, schema, example in found:
        key = json.dumps(schema)
        if key not in validators:
            whole = {**schema, "components": document["components"]}
            validators[key] = jsonschema_rs.validator_for(whole)
        errors = [*validators[key].iter_errors(example)]
        assert not errors, f"{place}: {json.dumps(example)}: {errors[0].message}"


def _examples_with_schemas(document: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for place, schema in schemas_in(document):
        yield from ((place, schema, example) for example in schema.get("examples", ()))
    for place, part in _described_parts(document):
        if "schema" in part:
            shown = [one["value"] for one in part.get("examples", {}).values()]
            shown += [part["example"]] if "example" in part else []
            yield from ((place, part["schema"], example) for example in shown)


def _described_parts(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walks all that has a schema and may have examples: parameters, headers, media types."""
    yield from document["components"]["headers"].items()
    for name, operation in _operations(document):
        yield from ((name, parameter) for parameter in operation.get("parameters", ()))
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            yield from ((name, content) for content in part.get("content", {}).values())


def test_a_stream_is_described_with_the_events_in_it(document: dict[str, Any]) -> None:
    content = document["paths"]["/events/stream"]["get"]["responses"]["200"]["content"]

    assert "itemSchema" not in json.dumps(document)
    schema = content["text/event-stream"]["schema"]
    data = schema["contentSchema"]["properties"]["data"]
    assert (schema["type"], data["contentMediaType"]) == ("string", "application/json")
    kinds = [one["$ref"].rpartition("/")[2] for one in data["contentSchema"]["anyOf"]]
    assert kinds == ["EventRead", "DeliveryRead", "TriggerRead"]


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation
