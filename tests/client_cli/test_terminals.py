"""A terminal is asked for secrets without an echo, has an editor opened, and shows colours."""

import asyncio
import json
import os
import pty
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.client_cli.conftest import EMAIL, Terminal
from tests.support.processes import environment
from tests.support.services import PASSWORD


@dataclass
class Typing:
    """A process whose standard input is a terminal, and the keyboard of that."""

    process: Process
    keyboard: int

    async def answer(self, question: bytes, typed: str) -> None:
        """Waits for a question on stderr, and types a line."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            await self.process.stderr.readuntil(question)
        os.write(self.keyboard, f"{typed}\n".encode())

    def echoed(self) -> bytes:
        os.set_blocking(self.keyboard, False)
        try:
            return os.read(self.keyboard, 10_000)
        except BlockingIOError:
            return b""


@asynccontextmanager
async def typing(terminal: Terminal, *arguments: str, **settings: str) -> AsyncIterator[Typing]:
    keyboard, screen = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "event_trigger", *arguments),
        env=environment(
            **terminal.settings, XDG_CONFIG_HOME=str(terminal.home), TERM="xterm", **settings
        ),
        stdin=screen,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,  # or a password would be asked for on the developer's terminal
    )
    try:
        yield Typing(process, keyboard)
    finally:
        if process.returncode is None:
            process.kill()
        os.close(keyboard)
        os.close(screen)


async def test_a_password_is_asked_for_once_and_not_echoed(terminal: Terminal) -> None:
    async with typing(terminal, "login", "--url", terminal.url) as person:
        await person.answer(b"E-mail: ", EMAIL)
        await person.answer(f"Password of {EMAIL}: ".encode(), PASSWORD)
        out, _ = await person.process.communicate()
        echoed = person.echoed()

    assert person.process.returncode == 0
    assert EMAIL.encode() in echoed
    assert PASSWORD.encode() not in echoed + out
    assert EMAIL in await terminal.do("whoami")


async def test_nothing_is_deleted_without_a_yes(ada_at: Terminal, ada: httpx.AsyncClient) -> None:
    await ada_at.do("triggers", "create", "nightly")

    async with typing(ada_at, "triggers", "delete", "nightly") as person:
        await person.answer(b"[y/N]: ", "")
        await person.process.communicate()
    kept = await ada.get("/triggers/by-key/nightly")
    async with typing(ada_at, "triggers", "delete", "nightly") as agreeing:
        await agreeing.answer(b"[y/N]: ", "y")
        await agreeing.process.communicate()
    gone = await ada.get("/triggers/by-key/nightly")

    assert (person.process.returncode, kept.status_code) == (1, 200)
    assert (agreeing.process.returncode, gone.status_code) == (0, 404)


def taken(file: Path) -> str:
    text = file.read_text()
    file.unlink()
    return text


async def test_a_trigger_is_changed_in_an_editor_and_a_refused_text_is_kept(
    ada_at: Terminal,
) -> None:
    await ada_at.do("triggers", "create", "nightly", "--cron", "0 2 * * *", "--tag", "night")

    async def edit(change: str) -> tuple[int | None, str]:
        arguments = ("triggers", "edit", "nightly", "-o", "name")
        async with typing(ada_at, *arguments, EDITOR=f"sed -i {change}") as person:
            _, told = await person.process.communicate()
        return person.process.returncode, told.decode()

    done = await edit("s/2/3/")
    same = await edit("s/2/3/")
    refused = await edit("s/3/99/")
    after = json.loads(await ada_at.do("triggers", "get", "nightly", "-o", "json"))

    assert (done, same) == ((0, ""), (0, "Nothing was changed.\n"))
    assert refused[0] == 5
    assert "99" in taken(Path(refused[1].split("is kept in ")[1].splitlines()[0].removesuffix(".")))
    assert after["details"]["cron"] == "0 3 * * *"
    assert after["tags"] == ["night"]


async def test_a_bar_on_the_terminal_leaves_the_output_where_it_was_sent(
    ada_at: Terminal, ada: httpx.AsyncClient
) -> None:
    keys = [f"order-{number}" for number in range(12)]
    for key in keys:
        await ada.post("/triggers", json={"type": "api", "key": key})
    screen, terminal_ = pty.openpty()

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "event_trigger", "triggers", "pause", *keys, "no-such", "-o", "name"),
        env=environment(**ada_at.settings, TERM="xterm"),
        stdout=PIPE,
        stderr=terminal_,
    )
    reading = asyncio.create_task(asyncio.to_thread(all_of, screen))
    out, _ = await process.communicate()
    os.close(terminal_)
    shown = await reading

    assert process.returncode == 6
    assert out.decode().split() == keys
    assert b"100%" in shown
    assert b"no-such: " in shown


def all_of(screen: int) -> bytes:
    """Reads what a terminal shows until no process has it open."""
    pieces = []
    try:
        while piece := os.read(screen, 10_000):
            pieces.append(piece)
    except OSError:  # Linux's end of a terminal
        pass
    os.close(screen)
    return b"".join(pieces)


async def test_tables_have_colours_on_a_terminal_unless_no_color_is_set(
    ada_at: Terminal,
) -> None:
    await ada_at.do("triggers", "create", "nightly")

    async def shown(**settings: str) -> bytes:
        screen, terminal_ = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "event_trigger", "triggers", "list"),
            env=environment(**ada_at.settings, TERM="xterm", **settings),
            stdout=terminal_,
        )
        await process.wait()
        os.close(terminal_)
        printed = os.read(screen, 10_000)
        os.close(screen)
        return printed

    assert b"\x1b[32mactive" in await shown()
    without = await shown(NO_COLOR="1")
    assert b"active" in without
    assert b"\x1b[3" not in without
