"""Runs a command of the users' command line, and turns errors into exit codes."""

import gc
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command as built
from typer.models import Context

from event_trigger_client.cli.commands import LazyCommands
from event_trigger_client.cli.exits import ExitCode, exit_code_of, words_of
from event_trigger_client.cli.writing import harmless

PROGRAM = "event-trigger"


def run_command(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    gc.disable()  # until the command itself begins: imports leave no garbage
    try:
        command_line().main(list(arguments), prog_name=PROGRAM)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        for line in words_of(error):
            sys.stderr.write(f"{harmless(line)}\n")
        return code
    finally:
        gc.enable()
    return ExitCode.OK


def command_line() -> Any:
    """Builds the root of all commands, which are loaded when they are named."""
    root = typer.Typer(
        cls=LazyCommands, add_completion=False, rich_markup_mode=None, no_args_is_help=True
    )
    root.callback()(_root)
    return built(root)


def _version(wanted: bool) -> None:
    if wanted:
        from event_trigger_client.version import __version__  # noqa: PLC0415 - only this needs it

        typer.echo(__version__)
        raise typer.Exit


def _root(
    ctx: Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Event Trigger Platform: schedules and calls become events, exactly once."""
