"""A user's program is checked by `mypy --strict` against the package, and runs."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.services import ADA, token_of

PROGRAM = Path(__file__).with_name("program.py")
ENDS_WITHIN = 120.0  # seconds; a process that hangs fails its test, and not the run


def _mypy(folder: Path, kept: Path, **programs: str) -> list[str]:
    """Checks programs as a user does, who has no settings of ours, and the oldest Python.

    What mypy finds out about libraries is kept for the next run of the tests.
    """
    for name, text in programs.items():
        (folder / f"{name}.py").write_text(text)
    options = (
        "--strict",
        "--python-version",
        "3.10",
        "--config-file",
        "",
        "--cache-dir",
        str(kept),
    )
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *(f"{name}.py" for name in programs)],
        cwd=folder,
        env={"MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
        check=False,
    )
    assert ended.returncode in {0, 1}, ended.stdout + ended.stderr
    return [line for line in ended.stdout.splitlines() if ": error: " in line]


def test_a_strict_checker_takes_the_program_and_finds_its_mistakes(
    tmp_path: Path, cache: pytest.Cache
) -> None:
    right = PROGRAM.read_text()
    mistakes = {
        'made[0]["details"]["timezone"]': 'made[0]["details"]["time_zone"]',
        'event["state"]': 'event["status"]',
        "fired: Fired": "fired: int",
        "problem.status": "problem.code",
    }
    wrong = right
    for good, bad in mistakes.items():
        wrong = wrong.replace(good, bad)

    errors = _mypy(tmp_path, cache.mkdir("mypy"), right=right, wrong=wrong)

    assert [one for one in errors if not one.startswith("wrong.py")] == []
    for code in ("typeddict-item", "assignment", "attr-defined"):
        assert any(code in one for one in errors), errors
    assert len(errors) > len(mistakes), errors  # a number has no event_id, either


def _run(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROGRAM, url, token_of(ADA)],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
        check=False,
    )


async def test_the_program_does_what_it_says(url: str) -> None:
    ended = await asyncio.to_thread(_run, url)

    keys = " ".join(sorted(f"made-{number}" for number in range(11)))
    assert ended.stdout.splitlines() == [f"active {keys}", "True {'n': 1}"], ended.stderr
