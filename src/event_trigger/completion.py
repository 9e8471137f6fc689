"""Writes the script by which a shell completes the command."""

import argparse
from pathlib import Path

import shtab


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns the script for bash, zsh or fish; it completes arguments that are files as such."""
    for one in _arguments(parser):
        if one.type is Path:
            one.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Lists the arguments of a parser and of its commands."""
    found: list[argparse.Action] = []
    for one in parser._actions:  # argparse has no other way, and shtab none, either
        found.append(one)
        if isinstance(one, argparse._SubParsersAction):
            found += [each for command in one.choices.values() for each in _arguments(command)]
    return found
