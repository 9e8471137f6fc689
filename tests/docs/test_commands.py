"""Every command of the documents is pasted into bash, beside a service as `make run` starts it."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server
from typing import Any

import httpx
import pytest
from asyncpg import LockNotAvailableError

from event_trigger.db.embedded.server import url_if_running
from tests.support.databases import connect
from tests.support.jq_program import answers
from tests.support.markdown import ROOT, Block, Step, blocks_of, pages, steps_of
from tests.support.processes import Served, environment, open_folder, start, until_ready
from tests.support.shell import ANSWERS_WITHIN, Printed, Shell, bash
from tests.support.shown import Differs, learned

pytestmark = pytest.mark.xdist_group("embedded servers")

README = ROOT / "README.md"
_COMMANDS = frozenset({"console", "sh"})
_RUN = re.compile(r"((?:[A-Z_]+=\S+ )*)make run")
_KEPT = frozenset(
    {
        "alembic_version",
        "event_partitions",
        "installation",
        "logins",
        "project_members",
        "projects",
        "refresh_tokens",
        "service_beats",
        "users",
        "zone_rules",
    }
)
_READS = re.compile(r"sleep \d+; .+|curl -s \S+")
_KILLED = re.compile(r"the service is killed; started again after (\d+) s")


def _run_here(page: Path) -> list[Block]:
    """Its blocks that have commands to run, or files that those need."""
    blocks = [one for one in blocks_of(page) if one.not_run is None]
    return [one for one in blocks if one.language in _COMMANDS or one.file is not None]


def _pages_with_commands() -> list[Path]:
    """All but the README, which begins with a service of its own."""
    others = [page for page in pages() if page != README]
    return [page for page in others if any(one.language in _COMMANDS for one in _run_here(page))]


@dataclass
class House:
    """A folder with a service in it; the values that its reader was given instead of shown ones."""

    folder: Path
    served: Served | None = None
    instead_of: dict[str, str] = field(default_factory=dict)

    async def serve(self, settings: dict[str, str]) -> str:
        """Starts the service as `make run` does, on a port of its own."""
        self.served = start(self.folder, (), environment(**settings))
        await until_ready(self.served)
        port = self.served.url.rpartition(":")[2]
        for host in ("localhost", "127.0.0.1"):
            self.instead_of[f"{host}:8000"] = f"{host}:{port}"
        return self.served.printed

    async def describe(self) -> None:
        """Has the service write its description, which takes it seconds: a generator waits five."""
        assert self.served is not None
        async with httpx.AsyncClient(base_url=self.served.url, timeout=60) as visitor:
            await visitor.get("/openapi.json")

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.served is not None:
            await self.served.end(how)
            self.served = None

    async def empty(self) -> None:
        """Makes the service as new, but for its users, so that ids begin at 1 again."""
        url = url_if_running(self.folder / ".event-trigger")
        assert url is not None
        connection = await connect(url)
        try:
            names = await connection.fetch(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
                " AND relnamespace = 'public'::regnamespace"
            )
            await _truncate(connection, sorted({one["relname"] for one in names} - _KEPT))
            await connection.execute("DELETE FROM projects WHERE id > 1")
            await connection.execute("DELETE FROM users WHERE id > 1")
            await connection.execute("SELECT setval(pg_get_serial_sequence('users', 'id'), 1)")
        finally:
            await connection.close()


async def _truncate(connection: Any, tables: Sequence[str]) -> None:
    """Gives way to the service, which locks the same tables in another order, and tries again."""
    await connection.execute("SET lock_timeout = '100ms'")  # well before a deadlock is looked for
    for _ in range(100):
        with suppress(LockNotAvailableError):
            await connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
            return
    raise AssertionError("the service's tables stay locked")


@dataclass
class Reader:
    """Follows a document in a shell, beside the service of a house."""

    house: House
    shell: Shell
    learned: dict[str, str] = field(default_factory=dict)

    async def follow(self, block: Block) -> None:
        if block.file is not None:
            (self.house.folder / block.file).write_text(block.text)
        elif block.language == "sh":
            await self._paste(block, Step(block.text, ()))
        else:
            for step in steps_of(block):
                await self._do(block, step)

    async def _do(self, block: Block, step: Step) -> None:
        if (run := _RUN.fullmatch(step.command)) is None:
            await self._paste(block, step)
            return
        if (killed := _KILLED.fullmatch(block.note)) is not None:
            await self.house.stop(signal.SIGKILL)
            await asyncio.sleep(int(killed[1]))
        await self.house.stop()
        printed = await self.house.serve(dict(one.split("=", 1) for one in run[1].split()))
        if step.shown:
            self._compare(block, step, printed)
            self.house.instead_of |= self.learned

    async def _paste(self, block: Block, step: Step) -> None:
        command, instead_of = step.command, self.learned | self.house.instead_of
        for shown in sorted(instead_of, key=len, reverse=True):
            command = command.replace(shown, instead_of[shown])
        if "/openapi.json" in command:
            await self.house.describe()
        done = await self.shell.paste(command)
        if _READS.fullmatch(step.command) and step.shown:
            done = await self._patiently(command, step, done)
        assert done.status == 0, f"{_place(block)}: {step.command}\n{done.text}"
        self._compare(block, step, done.text)

    async def _patiently(self, command: str, step: Step, done: Printed) -> Printed:
        """Reads again until it finds what is shown: a busy machine takes longer than a reader."""
        end = asyncio.get_running_loop().time() + ANSWERS_WITHIN
        while asyncio.get_running_loop().time() < end:
            try:
                learned(step.shown, done.text.splitlines())
                return done
            except Differs:
                await asyncio.sleep(0.2)
                done = await self.shell.paste(command)
        return done

    def _compare(self, block: Block, step: Step, printed: str) -> None:
        try:
            self.learned |= learned(step.shown, printed.splitlines())
        except Differs as error:
            pytest.fail(f"{_place(block)}: {step.command}\n{error}")


def _place(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.line}"


def _free_port() -> int:
    with create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@asynccontextmanager
async def _reading(house: House) -> AsyncIterator[Reader]:
    settings = environment(XDG_CONFIG_HOME=str(house.folder / "configuration"))
    async with bash(house.folder, settings) as shell:
        yield Reader(house, shell, learned={"9000": str(_free_port())})


def _first(language: str) -> Block:
    """The README's first block of a language: starting the service, or signing in."""
    return next(one for one in _run_here(README) if one.language == language)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A house for all pages but the README, since starting a service takes seconds."""
    with open_folder() as folder:
        made = House(folder)
        try:
            yield made
        finally:
            asyncio.run(made.stop(signal.SIGKILL))


async def test_the_commands_of_the_readme_print_what_it_shows(folder: Path) -> None:
    house = House(folder)
    try:
        async with _reading(house) as reader:
            for block in _run_here(README):
                await reader.follow(block)
    finally:
        await house.stop(signal.SIGKILL)


@pytest.mark.parametrize(
    "page", _pages_with_commands(), ids=lambda page: str(page.relative_to(ROOT))
)
async def test_the_commands_of_a_page_print_what_it_shows(page: Path, house: House) -> None:
    async with _reading(house) as reader:
        if house.served is None:
            await reader.follow(_first("console"))
        await house.empty()
        await reader.follow(_first("sh"))
        for block in _run_here(page):
            await reader.follow(block)


def test_commands_that_are_not_run_have_a_reason() -> None:
    blocks = [block for page in pages() for block in blocks_of(page)]
    commands = [one for one in blocks if one.language in _COMMANDS]
    left_out = [one for one in commands if one.not_run is not None]

    assert len(left_out) < len(commands) / 3
    for block in left_out:
        assert re.match(r"(needs|installs|shows|starts) ", block.not_run or ""), _place(block)


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["-c", "{id, name}"], ['{"id":1,"name":"é"}']),
        (["-r", ".name"], ["é"]),
        (["-r", ".id, .name"], ["1", "é"]),
        (["-c", ".tags[]"], ['"a"', '"b"']),
    ],
)
def test_the_stand_in_for_jq_prints_what_jq_prints(
    arguments: Sequence[str], printed: list[str]
) -> None:
    text = '{"id": 1, "name": "é", "tags": ["a", "b"]}'

    assert list(answers(arguments, text)) == printed


def test_what_varies_is_learned_and_all_else_must_be_the_same() -> None:
    shown = ['{"id":1,"at":"2026-11-23T21:40:00Z","at_last":"2027-01-01T00:00:00Z"}']
    given = '{"id":1,"at":"2031-02-03T04:05:06.7Z","at_last":"2027-01-01T00:00:00Z"}'

    assert learned(shown, [given]) == {"2026-11-23T21:40:00Z": "2031-02-03T04:05:06.7Z"}
    for other in (given.replace("1,", "2,"), given.replace("2027", "2028"), ""):
        with pytest.raises(Differs):
            learned(shown, [other])
    with pytest.raises(Differs):
        learned([], ["more"])
    assert learned(["a", "…"], ["a", "b", "c"]) == {}
