"""Commands load only what they need, and say what to install where something is missing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from event_trigger_client.cli.catalogue import COMMANDS
from tests.support.processes import environment, run

_LOADED = """
import json, sys
from event_trigger.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
names = {one.partition(".")[0] for one in sys.modules}
server = {one for one in sys.modules if one.startswith("event_trigger.")} - {"event_trigger.cli"}
print(json.dumps([code, sorted(names), sorted(server)]), file=sys.stderr)
"""
_HEAVY = {"fastapi", "httpx", "pydantic", "rich", "sqlalchemy", "structlog"}


def loaded_by(folder: Path, *arguments: str) -> tuple[int, set[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    code, names, server = json.loads(done.stderr.splitlines()[-1])
    return code, set(names), server


@pytest.mark.parametrize(
    "arguments", [["--help"], ["triggers", "list", "--help"], ["events", "--help"]]
)
def test_help_loads_neither_the_server_nor_the_client_of_http(
    tmp_path: Path, arguments: list[str]
) -> None:
    code, names, server = loaded_by(tmp_path, *arguments)

    assert code == 0
    assert not _HEAVY & names
    assert server == []


def test_commands_that_run_the_service_load_no_rich_for_the_log(tmp_path: Path) -> None:
    code, names, _ = loaded_by(tmp_path, "tzdata")  # without a database

    assert code == 1
    assert "structlog" in names
    assert not {"rich", "pygments"} & names


@pytest.mark.xdist_group("processes")
def test_help_lists_the_commands_of_both_kinds(tmp_path: Path) -> None:
    printed = run(tmp_path, "--help").stdout

    for name in ("serve", "migrate", "completion", *COMMANDS):
        assert f"\n  {name} " in printed or f"\n    {name} " in printed


@pytest.mark.parametrize("missing", ["typer", "httpx"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, missing: str
) -> None:
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError(name={missing!r})")
    settings = {"EVENT_TRIGGER_URL": "http://127.0.0.1:9", "EVENT_TRIGGER_TOKEN": "etk_x"}
    path = f"{tmp_path}:{environment()['PYTHONPATH']}"

    done = run(tmp_path, "triggers", "list", **settings, PYTHONPATH=path)

    assert (done.returncode, done.stdout) == (1, "")
    assert f"the package {missing}" in done.stderr
    assert "event-trigger[cli]" in done.stderr
