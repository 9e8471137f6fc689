"""Keeps a PostgreSQL from starting while a gate is shut, as a full disk does."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from event_trigger.db.embedded.server import find_binaries

REFUSAL = "could not write to file: No space left on device"
_SCRIPT = """#!/bin/sh
if [ "$1" != --version ] && [ -e {shut} ]; then echo 'FATAL:  {refusal}'; exit 1; fi
exec {postgres} "$@"
"""


@dataclass(frozen=True)
class Gate:
    """Opens and shuts; `programs` is a folder for EVENT_TRIGGER_PG_BIN."""

    programs: Path

    def shut(self) -> None:
        (self.programs / "shut").touch()

    def open(self) -> None:
        (self.programs / "shut").unlink()


def gate_in(folder: Path) -> Gate:
    programs = folder / "gated"
    programs.mkdir(mode=0o755)
    (programs / "initdb").symlink_to(find_binaries() / "initdb")
    script = _SCRIPT.format(
        shut=programs / "shut", refusal=REFUSAL, postgres=find_binaries() / "postgres"
    )
    (programs / "postgres").write_text(script)
    (programs / "postgres").chmod(0o755)
    return Gate(programs)


def postmaster_of(data_dir: Path) -> psutil.Process:
    """Gives the embedded server of a data directory, by the pid in its `postmaster.pid`."""
    pid_file = data_dir / "cluster" / "postmaster.pid"
    return psutil.Process(int(pid_file.read_text().split("\n")[0]))
