"""Checks that each setting, command, make target and endpoint in the documents exists."""

import re

import pytest

from event_trigger.api import built_api
from event_trigger.cli import main
from event_trigger.config import Settings
from tests.support.markdown import ROOT, pages

# the changelog and decisions may name what has gone
_PRESENT = [one for one in pages() if one.name != "CHANGELOG.md" and "decisions" not in one.parts]
_EXAMPLES = [ROOT / one for one in ("compose.yaml", "render.yaml", "app.json", "Procfile")]
_TEXT = "\n".join(
    page.read_text() for page in (*_PRESENT, *_EXAMPLES, *sorted((ROOT / "ops").iterdir()))
)
_OF_THE_TESTS = frozenset(
    {
        "EVENT_TRIGGER_PG_BIN",
        "EVENT_TRIGGER_TEST_CITUS_BIN",
        "EVENT_TRIGGER_TEST_OLD_PG_BIN",
        "EVENT_TRIGGER_TEST_ON_CITUS",
        "EVENT_TRIGGER_TEST_SCHEDULES",
    }
)
_OF_CALLERS = frozenset(
    {
        "EVENT_TRIGGER_PROFILE",
        "EVENT_TRIGGER_PROJECT",
        "EVENT_TRIGGER_SIGNING_SECRET",
        "EVENT_TRIGGER_TOKEN",
        "EVENT_TRIGGER_URL",
    }
)


def test_every_setting_has_its_row_and_every_named_setting_exists() -> None:
    chapter = (ROOT / "docs" / "settings.md").read_text()
    known = {
        str(field.validation_alias or f"EVENT_TRIGGER_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }
    named = set(re.findall(r"\bEVENT_TRIGGER_[A-Z_]*[A-Z]\b", _TEXT))

    for name in known:
        assert re.search(rf"^\|.*`{name}`", chapter, re.MULTILINE)
    assert named <= known | _OF_THE_TESTS | _OF_CALLERS


def test_every_command_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    named = set(re.findall(r"\bevent[_-]trigger ((?:user )?[a-z][a-z-]*)", _TEXT))

    assert {"serve", "verify", "user add", "login"} <= named
    for command in named:
        assert _exit_code([*command.split(), "--help"]) == 0, command
        assert "usage" in capsys.readouterr().out.lower()


def _exit_code(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:  # of argparse
        return int(end.code or 0)


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^|\$ |MD )make ([a-z-]+)", _TEXT, re.MULTILINE))

    assert "run" in named
    assert named <= targets


def test_every_endpoint_that_is_named_exists_and_every_endpoint_is_named() -> None:
    document = built_api().openapi()
    known = {
        (method.upper(), _shape(path))
        for path, methods in document["paths"].items()
        for method in methods
    }
    named = {
        (method, _shape(path))
        for methods, path in re.findall(
            r"((?:`?\b(?:GET|POST|PATCH|DELETE)\b`?(?:, )?)+) ?`?(/[\w{}/-]*)", _TEXT
        )
        for method in re.findall(r"[A-Z]+", methods)
    }
    paths_named = {_shape(path) for path in re.findall(r"(/[\w{}/-]+)", _TEXT)}

    assert named - known == {("GET", "/openapi")}  # .json, which describes all others
    for _, path in known:
        assert path in paths_named or any(path.endswith(one) for one in paths_named), path


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}|(?<=/)\d+(?=/|$)", "{}", path).rstrip("/") or "/"
