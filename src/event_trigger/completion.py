"""Writes the script by which a shell completes the command."""

import argparse
from importlib.util import find_spec
from pathlib import Path

import shtab

from event_trigger_client.cli.catalogue import COMMANDS


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns the script for bash, zsh or fish; it completes arguments that are files as such.

    Of commands that call a service it completes the names only, if what they need is not installed.
    """
    if find_spec("typer") is not None:
        from event_trigger_client.cli.completion import describe  # noqa: PLC0415 - takes Typer

        for name in COMMANDS.keys() & _commands(parser).keys() - {"completion"}:
            describe(name, _commands(parser)[name])
    for one in _arguments(parser):
        if one.type is Path:
            one.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [found] = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    commands: dict[str, argparse.ArgumentParser] = found.choices
    return commands


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Lists the arguments of a parser and of its commands."""
    found: list[argparse.Action] = []
    for one in parser._actions:  # argparse has no other way, and shtab none, either
        found.append(one)
        if isinstance(one, argparse._SubParsersAction):
            found += [each for command in one.choices.values() for each in _arguments(command)]
    return found
