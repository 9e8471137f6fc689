"""Every command of the documents is pasted into bash, beside a service as `make run` starts it."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server

import pytest

from tests.support.jq_program import answers
from tests.support.markdown import ROOT, Block, Step, blocks_of, pages, steps_of
from tests.support.processes import Served, environment, open_folder, start, until_ready
from tests.support.shell import Shell, bash
from tests.support.shown import Differs, learned

README = ROOT / "README.md"
_COMMANDS = frozenset({"console", "sh"})
_RUN = re.compile(r"((?:[A-Z_]+=\S+ )*)make run")
_KILLED = re.compile(r"the service is killed; started again after (\d+) s")


def _run_here(page: Path) -> list[Block]:
    """Its blocks that have commands to run, or files that those need."""
    blocks = [one for one in blocks_of(page) if one.not_run is None]
    return [one for one in blocks if one.language in _COMMANDS or one.file is not None]


def _pages_with_commands() -> list[Path]:
    return [page for page in pages() if any(one.language in _COMMANDS for one in _run_here(page))]


@dataclass
class Reader:
    """Follows a document; for each value that it shows, knows the one that was given to them."""

    folder: Path
    shell: Shell
    served: Served | None = None
    instead_of: dict[str, str] = field(default_factory=dict)

    async def follow(self, block: Block) -> None:
        if block.file is not None:
            (self.folder / block.file).write_text(block.text)
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
            await self.stop(signal.SIGKILL)
            await asyncio.sleep(int(killed[1]))
        await self.stop()
        printed = await self.serve(dict(one.split("=", 1) for one in run[1].split()))
        if step.shown:
            self._compare(block, step, printed)

    async def serve(self, settings: dict[str, str]) -> str:
        """Starts the service as `make run` does, on a port of its own."""
        self.served = start(self.folder, (), environment(**settings))
        await until_ready(self.served)
        port = self.served.url.rpartition(":")[2]
        for host in ("localhost", "127.0.0.1"):
            self.instead_of[f"{host}:8000"] = f"{host}:{port}"
        return self.served.printed

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.served is not None:
            await self.served.end(how)
            self.served = None

    async def _paste(self, block: Block, step: Step) -> None:
        command = step.command
        for shown in sorted(self.instead_of, key=len, reverse=True):
            command = command.replace(shown, self.instead_of[shown])
        done = await self.shell.paste(command)
        assert done.status == 0, f"{_place(block)}: {step.command}\n{done.text}"
        self._compare(block, step, done.text)

    def _compare(self, block: Block, step: Step, printed: str) -> None:
        try:
            self.instead_of |= learned(step.shown, printed.splitlines())
        except Differs as error:
            pytest.fail(f"{_place(block)}: {step.command}\n{error}")


def _place(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.line}"


def _free_port() -> int:
    with create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@asynccontextmanager
async def _reader() -> AsyncIterator[Reader]:
    with open_folder() as folder:
        async with bash(folder, environment()) as shell:
            reader = Reader(folder, shell, instead_of={"9000": str(_free_port())})
            try:
                yield reader
            finally:
                await reader.stop(signal.SIGKILL)


async def _sign_in(reader: Reader) -> None:
    """The other pages begin where the README's reader has signed in."""
    blocks = _run_here(README)
    banner = next(one for one in blocks if one.language == "console")
    signing_in = next(one for one in blocks if one.language == "sh")
    await reader.follow(banner)
    await reader.follow(signing_in)


@pytest.mark.parametrize(
    "page", _pages_with_commands(), ids=lambda page: str(page.relative_to(ROOT))
)
async def test_the_commands_of_a_document_print_what_it_shows(page: Path) -> None:
    async with _reader() as reader:
        if page != README:
            await _sign_in(reader)
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
