"""The JSON Schema of files says what the service takes, and agrees with what reads files."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from event_trigger.destinations.certificates import ClientCertificateWrite
from event_trigger.destinations.schemas import DestinationBody
from event_trigger.models import (
    DestinationFormat,
    DestinationMethod,
    HookMethod,
    MacAlgorithm,
    MacEncoding,
    NoticeKind,
    OnCompletion,
    Verify,
)
from event_trigger.triggers.schedule.plan import CatchUp
from event_trigger.triggers.schemas.details import HeartbeatDetails, ScheduledDetails
from event_trigger.triggers.schemas.hook_details import HookDetails
from event_trigger.triggers.schemas.requests import ScheduledTriggerCreate
from event_trigger_client.files.problems import BadFile
from event_trigger_client.files.reading import read_text
from event_trigger_client.files.shape import schema_text
from event_trigger_client.files.yaml_text import read_yaml
from tests.support.markdown import ROOT, blocks_of

SCHEMA: dict[str, Any] = json.loads(schema_text())
DEFS = SCHEMA["$defs"]
GOOD = [
    "version: 1\nset: a\n",
    "version: 1\nset: a\ntriggers: {a: {every: 15m}, b: {type: api, schema: {}}}\n",
    "version: 1\nset: a\ndestinations: {a: {url: x, timeout: 5, client_certificate: {}}}\n",
    "version: 1\nset: a\ncalendars: {a: [2026-12-24], b: {ics: 'BEGIN:x'}}\nmoved: []\n",
]
BAD = [
    "[]",
    "version: 2\nset: a\n",
    "version: 1\nset: A\n",
    "version: 1\n",
    "version: 1\nset: a\nmore: 1\n",
    "version: 1\nset: a\ntriggers:\n",
    "version: 1\nset: a\ntriggers: {a: {cron: '@daily', hook: github}}\n",
    "version: 1\nset: a\ntriggers: {a: {heartbeat: {grace: 5m}}}\n",
    "version: 1\nset: a\ntriggers: {a: {type: heartbeat, every: 5m}}\n",
    "version: 1\nset: a\ntriggers: {a: {every: 5m, interval: 5m}}\n",
    "version: 1\nset: a\ndestinations: {a: {url: x, method: post}}\n",
    "version: 1\nset: a\ncalendars: {a: {}}\n",
    "version: 1\nset: a\nmoved: [{from: a, to: b, kind: calendar}]\n",
]


def names_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def fields_of(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = DEFS[name]["properties"]
    return fields


def is_read(text: str) -> bool:
    try:
        read_text(text, {}, folder=Path(), name="x")
    except BadFile:
        return False
    return True


def test_every_field_of_the_service_can_be_written() -> None:
    trigger = fields_of("trigger").keys()
    short = {"interval": "every"}  # recurring is what `every` is for

    assert names_of(ScheduledDetails) - {"hook", "recurring"} <= trigger
    assert names_of(ScheduledTriggerCreate) - {"key", "details"} <= trigger
    assert {short.get(one, one) for one in names_of(HeartbeatDetails)} == {*fields_of("heartbeat")}
    assert names_of(HookDetails) == {*fields_of("hook")}
    assert names_of(DestinationBody) - {"key"} == {*fields_of("destination")}
    certificate = fields_of("destination")["client_certificate"]["properties"]
    assert names_of(ClientCertificateWrite) == {*certificate}


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (Verify, fields_of("hook")["verify"]),
        (Verify, fields_of("trigger")["hook"]["anyOf"][0]),
        (HookMethod, fields_of("hook")["methods"]["items"]),
        (MacAlgorithm, fields_of("hook")["algorithm"]),
        (MacEncoding, fields_of("hook")["encoding"]),
        (CatchUp, fields_of("trigger")["catch_up"]),
        (OnCompletion, fields_of("trigger")["on_completion"]),
        (DestinationFormat, fields_of("destination")["format"]),
        (DestinationMethod, fields_of("destination")["method"]),
        (NoticeKind, fields_of("destination")["notices"]["items"]),
    ],
)
def test_closed_sets_have_the_words_of_the_service(
    kind: type[StrEnum], written: dict[str, Any]
) -> None:
    assert {*written["enum"]} == {str(one) for one in kind}


def test_every_field_is_described_for_editors() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    fields = [SCHEMA["properties"], *(one.get("properties", {}) for one in DEFS.values())]

    for one in fields:
        assert [name for name, field in one.items() if "description" not in field] == []


@pytest.mark.parametrize("text", GOOD + BAD)
def test_another_validator_of_the_schema_judges_as_the_reader_does(text: str) -> None:
    is_valid = Draft202012Validator(SCHEMA).is_valid(read_yaml(text).value)

    assert is_valid is (text in GOOD)
    assert is_valid is is_read(text)


def test_the_schema_accepts_the_examples_of_the_documentation() -> None:
    page = ROOT / "docs" / "files.md"
    examples = [
        one.text for one in blocks_of(page) if one.language == "yaml" and "set:" in one.text
    ]
    judge = Draft202012Validator(SCHEMA)

    assert len(examples) >= 2
    for one in examples:
        assert [error.message for error in judge.iter_errors(read_yaml(one).value)] == [], one
