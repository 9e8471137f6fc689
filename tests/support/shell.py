"""Pastes commands into one bash, as a reader of a document does, and gives back their output."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ANSWERS_WITHIN = 120.0  # seconds; a command that hangs fails its test, and not the run
_END = "--- this command has ended:"
_JQ = Path(__file__).with_name("jq_program.py")


@dataclass(frozen=True)
class Printed:
    """The status of a command, and all that it printed."""

    status: int
    text: str


@dataclass
class Shell:
    process: asyncio.subprocess.Process

    async def paste(self, command: str) -> Printed:
        """Runs a command in the shell, which keeps its variables and functions."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f'{command}\necho; echo "{_END} $?"\n'.encode())
        lines: list[str] = []
        async with asyncio.timeout(ANSWERS_WITHIN):
            while line := (await stdout.readline()).decode():
                if line.startswith(_END):
                    return Printed(int(line.removeprefix(_END)), "".join(lines).rstrip())
                lines.append(line)
        raise AssertionError("The shell has ended:\n" + "".join(lines))


@asynccontextmanager
async def bash(folder: Path, settings: Mapping[str, str]) -> AsyncIterator[Shell]:
    """A bash in a folder that has this environment's programs in `.venv`, as a checkout has."""
    if not (folder / ".venv").exists():
        (folder / ".venv").symlink_to(sys.prefix)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "--norc",
        cwd=folder,
        env={**settings, "PATH": f"{_programs(folder)}{os.pathsep}{settings['PATH']}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Shell(process)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.terminate()  # what was left in the background
        process.terminate()
        await process.wait()


def _programs(folder: Path) -> Path:
    """A folder for `event-trigger` as pip installs it, and for `jq` where the machine has none."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    command = programs / "event-trigger"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m event_trigger "$@"\n')
    command.chmod(0o755)
    if shutil.which("jq") is None:
        jq = programs / "jq"
        jq.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_JQ}" "$@"\n')
        jq.chmod(0o755)
    return programs
