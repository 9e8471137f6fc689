"""Builds commands: each gets a Run and the common options, and is loaded when it is named."""

import gc
import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup
from typer.main import get_command as built

from event_trigger_client.cli.catalogue import COMMANDS, Entry
from event_trigger_client.cli.formats import Format
from event_trigger_client.cli.run import Run

Function = TypeVar("Function", bound=Callable[..., None])

_HELP = {"help_option_names": ["-h", "--help"]}
_STYLE: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None}
_URL = Annotated[str | None, typer.Option("--url", help="The service's address.")]
_PROJECT = Annotated[
    str | None, typer.Option("--project", help="The id of the project, or * for all.")
]
_PROFILE = Annotated[str | None, typer.Option("--profile", help="The profile to use.")]
_OUTPUT = Annotated[Format, typer.Option("--output", "-o", help="How to print what is found.")]
_COMMON = {
    "url": (_URL, None),
    "project": (_PROJECT, None),
    "profile": (_PROFILE, None),
    "output": (_OUTPUT, Format.TABLE),
}


def group(help_: str) -> typer.Typer:
    """Makes a command that has commands of its own."""
    made = typer.Typer(no_args_is_help=True, context_settings=_HELP, **_STYLE)
    made.callback()(_nothing)
    made.info.help = help_
    return made


def command(of: typer.Typer, name: str) -> Callable[[Function], Function]:
    """Adds a function to a group; its first argument is the Run."""

    def add(function: Function) -> Function:
        of.command(name, context_settings=_HELP)(_with_run(function))
        return function

    return add


def _nothing() -> None:
    """Does nothing: a group without a callback and with one command would be that command."""


def _with_run(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the common options to a function's own, and gives it the Run that they make."""

    def run_it(**given: Any) -> None:
        common = {name: given.pop(name) for name in _COMMON}
        gc.enable()
        with Run(**common) as run:
            function(run, **given)

    _, *own = inspect.signature(function).parameters.values()
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _COMMON.items()
    ]
    run_it.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]
    run_it.__annotations__ = {one.name: one.annotation for one in [*own, *common]}
    run_it.__name__, run_it.__doc__ = function.__name__, function.__doc__
    return run_it


class LazyCommands(TyperGroup):
    """The root of all commands: it lists them without loading them."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else load(cmd_name, entry)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        self.commands: Any = dict.fromkeys(COMMANDS)  # suggests names of these
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def load(name: str, entry: Entry) -> Any:
    """Imports a command, and builds what parses its arguments."""
    found = getattr(import_module(f"event_trigger_client.cli.{entry.module}"), entry.name)
    if isinstance(found, typer.Typer):
        return built(found)
    alone = typer.Typer(**_STYLE)
    command(alone, name)(found)
    return built(alone)
