"""A shell completes the command by the script that the command prints."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from event_trigger.cli import main
from tests.support.processes import run

pytestmark = pytest.mark.xdist_group("processes")

_ASK = """
source ./script
COMP_WORDS=({words}) COMP_CWORD={place}
_shtab_event_trigger
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(folder: Path, line: str) -> set[str]:
    """Lets bash complete the last word of a line, as the Tab key does."""
    words = line.split(" ")
    asked = _ASK.format(words=shlex.join(words), place=len(words) - 1)
    answer = subprocess.run(
        ["bash", "--norc", "-e", "-c", asked],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stderr == ""
    return {one.strip() for one in answer.stdout.splitlines()} - {""}


def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    printed = run(tmp_path, "completion", "bash", DATABASE_URL="of no use")
    (tmp_path / "script").write_text(printed.stdout)
    (tmp_path / "kept.backup").touch()

    found = {
        line: completed(tmp_path, f"event-trigger {line}")
        for line in (
            *("ser", "user ", "serve --wo", "completion ", "restore ke", "user erase --y"),
            *("trig", "keys ", "triggers list --st", "events list -o t", "triggers create -f ke"),
        )
    }

    assert (printed.returncode, printed.stderr) == (0, "")
    assert found == {
        "ser": {"serve"},
        "user ": {"add", "disable", "password", "erase"},
        "serve --wo": {"--workers"},
        "completion ": {"bash", "zsh", "fish"},
        "restore ke": {"kept.backup"},
        "user erase --y": {"--yes"},
        "trig": {"triggers"},
        "keys ": {"list", "create", "revoke"},
        "triggers list --st": {"--status"},
        "events list -o t": {"table"},
        "triggers create -f ke": {"kept.backup"},
    }


@pytest.mark.parametrize(
    ("shell", "written"),
    [("zsh", "#compdef event-trigger\n"), ("fish", "complete -c event-trigger ")],
)
def test_other_shells_have_scripts_of_their_own(
    shell: str, written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0

    script = capsys.readouterr().out
    assert written in script
    assert "rotate-keys" in script


def test_an_unknown_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "csh"])

    assert ended.value.code == 2
    assert "choose from" in capsys.readouterr().err
