"""Pastes commands into one bash, as a reader of a document does, and gives back their output."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import command_stub
from tests.support.prefork import Command
from tests.support.processes import forking

ANSWERS_WITHIN = 120.0  # seconds; a command that hangs fails its test, and not the run
_END = "--- this command has ended:"
_FORKS = sys.platform == "linux"
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
    """A bash in a folder that has this environment's programs in `.venv`, as a checkout has.

    The commands of the service are forked (`forked.py`), as if Python had been started for each.
    """
    with _commands_forked(folder / "commands"):
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


@contextmanager
def _commands_forked(path: Path) -> Iterator[None]:
    """Has the commands forked that `command_stub.py` sends to a socket."""
    if not _FORKS:
        yield
        return

    def fork_one() -> None:
        connection, _ = listener.accept()
        with connection:
            told, files, _, _ = socket.recv_fds(connection, command_stub.BYTES, 4)
            folder, count, *words = told.decode().split("\0")
            arguments, variables = words[: int(count)], words[int(count) :]
            environment = dict(one.split("=", 1) for one in variables)
            command = Command(arguments, folder, environment)
            pid = forking().fork_with(command, files) if forking().suits(command) else 0
            for one in files:
                os.close(one)
            connection.send(str(pid).encode())

    path.unlink(missing_ok=True)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        loop.add_reader(listener, fork_one)
        try:
            yield
        finally:
            loop.remove_reader(listener)


def _programs(folder: Path) -> Path:
    """A folder for `event-trigger` as pip installs it, and for `jq` where the machine has none.

    It makes `.venv/bin`, too.
    """
    programs, installed = folder / "programs", folder / ".venv" / "bin"
    if programs.exists():
        return programs
    programs.mkdir()
    installed.mkdir(parents=True)
    for one in Path(sys.prefix, "bin").iterdir():
        (installed / one.name).symlink_to(one)
    stub = f'-I -S "{command_stub.__file__}" "{folder}/commands"' if _FORKS else "-m event_trigger"
    forked = f'exec "{sys.executable}" {stub} "$@"'
    (installed / "python").unlink()
    _write_program(
        installed / "python",
        f'[ "$1 $2" = "-m event_trigger" ] || exec "{sys.executable}" "$@"\nshift 2\n{forked}',
    )
    _write_program(programs / "event-trigger", forked)
    if shutil.which("jq") is None:
        _write_program(programs / "jq", f'exec "{sys.executable}" "{_JQ}" "$@"')
    return programs


def _write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
