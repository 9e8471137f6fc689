"""Runs commands in this process: starting another costs three seconds."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from event_trigger.cli import main
from tests.support.logs import plain_logs
from tests.support.processes import environment


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


Here = Callable[..., Done]


@contextmanager
def commands_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Here]:
    """Gives a function that runs a command as if in a folder with these settings only."""
    was_told_to_stop = signal.getsignal(signal.SIGTERM)

    def run_here(*arguments: str, typed: str = "", **settings: str) -> Done:
        capsys.readouterr()  # what fixtures have written
        with monkeypatch.context() as around, plain_logs():
            around.chdir(folder)
            for name in os.environ.keys() - environment().keys():
                around.delenv(name)
            for name, value in settings.items():
                around.setenv(name, value)
            around.setattr(sys, "stdin", io.StringIO(f"{typed}\n"))
            try:
                code = main(arguments)
            except SystemExit as end:
                code = int(end.code or 0)
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    yield run_here
    signal.signal(signal.SIGTERM, was_told_to_stop)
