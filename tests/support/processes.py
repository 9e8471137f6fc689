"""Runs the command line in processes of their own, and ends them by their ids only."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

import httpx
import psutil

from tests.support.databases import in_memory
from tests.support.forked import Forked, Forking
from tests.support.prefork import Command
from tests.support.services import PLAIN_HTTP, SECRET
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
COMMAND = ("-m", "event_trigger")
SERVE = (*COMMAND, "serve")
ENDS_WITHIN = 120.0  # seconds; a process that hangs fails its test, and not the run
_NOT_OURS = re.compile(r"EVENT_TRIGGER_(?!PG_BIN)|DATABASE_URL|PORT$|HOST$|PG[A-Z]|OTEL_")


def environment(**settings: str) -> dict[str, str]:
    """Gives this environment without a developer's own settings of the service."""
    kept = {name: value for name, value in os.environ.items() if not _NOT_OURS.match(name)}
    return kept | {"PYTHONPATH": str(ROOT / "src"), "PORT": "0"} | settings


def with_database(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "EVENT_TRIGGER_JWT_SECRET": SECRET}


def free_port() -> str:
    with create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


def run(
    folder: Path, *arguments: str, typed: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end, with `typed` on its standard input."""
    with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
        stdin.write(typed.encode())
        stdin.seek(0)
        files = (stdin, stdout, stderr)
        process = _begin(folder, [*COMMAND, *arguments], environment(**settings), files)
        try:
            code = process.wait(ENDS_WITHIN)
        finally:
            process.kill()
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(
            arguments, code, stdout.read().decode(), stderr.read().decode()
        )


Process = subprocess.Popen[bytes] | Forked


@dataclass
class Served:
    """A running `serve`, with its output and its log."""

    process: Process
    stdout: Path
    stderr: Path

    @property
    def printed(self) -> str:
        return self.stdout.read_text()

    @property
    def logged(self) -> str:
        return self.stderr.read_text()

    @property
    def url(self) -> str:
        return self._said(r"Docs +(http://\S+)/api/docs")

    @property
    def password(self) -> str:
        return self._said(r"Password +(\S+)")

    def _said(self, pattern: str) -> str:
        found = re.search(pattern, self.printed)
        assert found is not None, self.printed + self.logged
        return found[1]

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, verify=PLAIN_HTTP)

    async def sign_in(self, email: str = "admin@localhost", password: str | None = None) -> str:
        form = {"username": email, "password": password or self.password}
        async with self.client() as client:
            answer = await client.post("/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def family(self) -> list[psutil.Process]:
        """Gives the process and its descendants."""
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Gives the living processes of `--workers`, which are forked from the template."""
        found = []
        for one in self.family():
            with suppress(psutil.NoSuchProcess):  # it has just ended
                parent = one.parent()
                if parent is None or parent.pid == self.process.pid:
                    continue
                if one.cmdline() == parent.cmdline() and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
        return found

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signals the first process, waits for it, and gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return await asyncio.to_thread(self.process.wait, ENDS_WITHIN)


@contextmanager
def open_folder(*, on_disk: bool = False) -> Iterator[Path]:
    """Makes a folder that the account of an embedded PostgreSQL may pass through."""
    where = None if on_disk else in_memory()
    with TemporaryDirectory(prefix="event-trigger-", dir=where, ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        yield folder


@asynccontextmanager
async def serving(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[Served]:
    """Runs `serve` in a folder, and begins the body when it is ready.

    Afterwards it must end with exit code 0, unless the body has ended it.
    """
    served = start(folder, arguments, environment(**settings))
    try:
        await until_ready(served)
        yield served
        if served.process.poll() is None:
            assert await served.end() == 0, served.logged
    finally:
        if served.process.poll() is None:
            await served.end(signal.SIGKILL)


def start(
    folder: Path,
    arguments: Sequence[str],
    settings: dict[str, str],
    command: Sequence[str] = SERVE,
) -> Served:
    number = len(list(folder.glob("stdout-*")))
    stdout, stderr = folder / f"stdout-{number}", folder / f"stderr-{number}"
    with Path(os.devnull).open("rb") as none, stdout.open("wb") as out, stderr.open("wb") as err:
        process = _begin(folder, [*command, *arguments], settings, (none, out, err))
    return Served(process, stdout, stderr)


def _begin(
    folder: Path, words: Sequence[str], settings: dict[str, str], files: Sequence[IO[bytes]]
) -> Process:
    """Begins a command of the service as a fork if it can be one, and starts everything else.

    Benches measure starts and memory, and fork nothing. Several workers keep their metrics in
    files, which is decided by an import.
    """
    is_ours = (*words[:2],) == COMMAND and "--workers" not in words
    if is_ours and sys.platform == "linux" and "PYTEST_VERSION" in os.environ:
        command = Command(words[2:], str(folder), settings)
        if forking().suits(command):
            return forking().fork(command, files)
    stdin, stdout, stderr = files
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=settings,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


@cache
def forking() -> Forking:
    """Returns the process that forks commands, which starts when the first one needs it."""
    return Forking(environment())


async def until_ready(served: Served) -> None:
    async def announced() -> bool:
        assert served.process.poll() is None, served.logged
        return "/api/docs" in served.printed

    async def ready() -> int:
        assert served.process.poll() is None, served.logged
        try:
            return (await client.get("/readyz")).status_code
        except httpx.TransportError:
            return 0

    await eventually(announced, bool, within=ENDS_WITHIN)
    async with served.client() as client:
        await eventually(ready, lambda status: status == 200, within=ENDS_WITHIN)


def is_over(process: psutil.Process) -> bool:
    """Whether a process has ended, even if it is a zombie still."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def until_over(processes: list[psutil.Process]) -> None:
    async def living() -> list[psutil.Process]:
        return [one for one in processes if not is_over(one)]

    await eventually(living, lambda found: not found)


def log_entries(served: Served, event: str) -> list[dict[str, Any]]:
    """Gives the entries of one event from a log in JSON."""
    entries = [json.loads(line) for line in served.logged.splitlines()]
    return [one for one in entries if one["event"] == event]


async def connections_to(port: int) -> int:
    """Counts this process's TCP connections to a port."""
    mine = psutil.Process().net_connections("tcp")
    return sum(bool(one.raddr) and one.raddr.port == port for one in mine)
