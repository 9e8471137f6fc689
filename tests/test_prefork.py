"""Tests fork most commands of the service, which must not differ from the ones that users start."""

from pathlib import Path

import pytest

from tests.support.processes import run

pytestmark = pytest.mark.xdist_group("processes")

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["nonsense"], ["check"], ["user", "add", "eve@example.com"]],
    ids=" ".join,
)
def test_a_forked_command_ends_and_prints_as_a_started_one_does(
    tmp_path: Path, arguments: list[str]
) -> None:
    settings = {"DATABASE_URL": NOWHERE, "EVENT_TRIGGER_LOG_FORMAT": "yaml"}

    forked = run(tmp_path, *arguments, typed="a password\n", **settings)
    started = run(tmp_path, *arguments, typed="a password\n", **settings, LC_MESSAGES="C")

    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )
    assert forked.stdout + forked.stderr
