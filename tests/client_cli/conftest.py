"""Runs commands of users in this process, against a service on a port."""

import asyncio
import io
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from event_trigger.cli import main
from tests.support.commands import Done
from tests.support.processes import environment
from tests.support.receiver import ALLOW_LOOPBACK
from tests.support.services import ADA, PASSWORD, Service, token_of
from tests.support.streams import listening

EMAIL = "ada@example.com"


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return ALLOW_LOOPBACK


@dataclass
class Terminal:
    """A user's shell: a configuration folder, an environment, and commands that run in it."""

    url: str
    home: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.home / "event-trigger"

    async def run(self, *arguments: str, typed: str | bytes = "", **settings: str) -> Done:
        """Runs a command to its end, with `typed` on its standard input, which is no terminal."""
        self.capsys.readouterr()
        typed = typed.encode() if isinstance(typed, str) else typed
        with self.monkeypatch.context() as around:
            for name in os.environ.keys() - environment().keys():
                around.delenv(name)
            for name, value in (self.settings | settings).items():
                around.setenv(name, value)
            around.setenv("XDG_CONFIG_HOME", str(self.home))
            around.chdir(self.home)
            around.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
            with capture_logs():  # the service has the same standard output
                code = await asyncio.to_thread(_run, arguments)
        printed = self.capsys.readouterr()
        return Done(code, printed.out, printed.err)

    async def do(self, *arguments: str, typed: str | bytes = "", **settings: str) -> str:
        """Runs a command that must succeed, and gives what it printed."""
        done = await self.run(*arguments, typed=typed, **settings)
        assert done.code == 0, done
        return done.out

    async def login(self, *more: str, email: str = EMAIL) -> Done:
        return await self.run(
            "login", "--url", self.url, "--email", email, "--password-stdin", *more,
            typed=f"{PASSWORD}\n",
        )  # fmt: skip


@pytest.fixture
async def terminal(
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> AsyncIterator[Terminal]:
    """A terminal of somebody who has not signed in."""
    async with listening(service) as url:
        yield Terminal(url, tmp_path, monkeypatch, capsys)


@pytest.fixture
def ada_at(terminal: Terminal) -> Terminal:
    """A terminal of Ada, whose login is in the environment."""
    terminal.settings |= {"EVENT_TRIGGER_URL": terminal.url, "EVENT_TRIGGER_TOKEN": token_of(ADA)}
    return terminal


@pytest.fixture
async def signed_in(terminal: Terminal) -> Terminal:
    """A terminal of Ada, who has signed in by a command."""
    assert (await terminal.login()).code == 0
    return terminal


def _run(arguments: Sequence[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:  # of argparse
        return int(end.code or 0)
