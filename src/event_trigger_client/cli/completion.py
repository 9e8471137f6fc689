"""Writes the script by which a shell completes commands, without starting Python at each Tab."""

import argparse
import sys
from enum import Enum
from typing import Annotated, Any

import shtab
from typer import Argument

from event_trigger_client.cli.catalogue import COMMANDS
from event_trigger_client.cli.commands import load
from event_trigger_client.cli.run import Run

_A_FILE = "FILE"  # the metavar of what is completed as one


class Shell(str, Enum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    run: Run,  # noqa: ARG001 - every command has one
    shell: Annotated[Shell, Argument(help="Your shell.")],
) -> None:
    """Print the script by which a shell completes this command.

    For example: eval "$(event-trigger completion bash)"
    """
    parser = argparse.ArgumentParser(prog="event-trigger")
    commands = parser.add_subparsers()
    for name, entry in COMMANDS.items():
        describe(name, commands.add_parser(name, help=entry.help, add_help=False))
    sys.stdout.write(shtab.complete(parser, shell.value))


def describe(name: str, parser: argparse.ArgumentParser) -> None:
    """Gives a parser the commands and options of one of this package's commands."""
    _fill(parser, load(name, COMMANDS[name]))


def _fill(parser: argparse.ArgumentParser, command: Any) -> None:
    for param in command.params:
        _add(parser, param)
    parser.add_argument("-h", "--help", action="store_true", help="Show this message and exit.")
    if getattr(command, "commands", None):
        inside = parser.add_subparsers()
        for name, one in command.commands.items():
            help_ = one.get_short_help_str(100)
            _fill(inside.add_parser(name, help=help_, add_help=False), one)


def _add(parser: argparse.ArgumentParser, param: Any) -> None:
    is_option = param.param_type_name == "option"
    names = [*param.opts, *param.secondary_opts] if is_option else [param.name]
    details: dict[str, Any] = {"help": getattr(param, "help", None)}
    if is_option and param.is_flag:
        details["action"] = "store_true"
    elif choices := getattr(param.type, "choices", None):
        details["choices"] = [getattr(one, "value", one) for one in choices]
    if not is_option:
        details["nargs"] = "*" if param.nargs == -1 else "?"
    added = parser.add_argument(*names, **details)
    if _A_FILE in (param.metavar or ""):
        added.complete = shtab.FILE  # type: ignore[attr-defined]
