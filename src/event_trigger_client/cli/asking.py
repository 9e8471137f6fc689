"""Reads secrets and answers from a terminal or from standard input, and files that are named."""

import getpass
import json
import sys
from pathlib import Path
from typing import Any

from event_trigger_client.cli.exits import ExitCode, Failed

_STDIN = "-"


def password(question: str, *, from_stdin: bool) -> str:
    """Asks without an echo, or reads the first line of standard input."""
    if from_stdin:
        return first_line("a password")
    if not sys.stdin.isatty():
        raise Failed(
            "There is no terminal to ask for the password. Write --password-stdin.", ExitCode.USAGE
        )
    return getpass.getpass(f"{question}: ", stream=sys.stderr)


def first_line(what: str) -> str:
    """Reads a secret from the first line of standard input."""
    found = sys.stdin.readline().rstrip("\r\n")
    if not found:
        raise Failed(f"Standard input is empty. Write {what} to it.", ExitCode.USAGE)
    return found


def text(question: str, flag: str) -> str:
    """Asks for a line; `flag` is the option that gives it where there is no terminal."""
    if not sys.stdin.isatty():
        raise Failed(f"There is no terminal to ask on. Write {flag}.", ExitCode.USAGE)
    sys.stderr.write(f"{question}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def agree(question: str, *, yes: bool) -> None:
    """Goes on with --yes, or with a yes on a terminal."""
    if yes:
        return
    if text(f"{question} [y/N]", "--yes").lower() not in {"y", "yes"}:
        raise Failed("Nothing was changed.")


def content_of(place: str) -> bytes:
    """Reads a file, or standard input for `-`."""
    if place == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise Failed(f"{place} cannot be read: {error.strerror}.", ExitCode.USAGE) from None


def json_object(given: str, flag: str) -> dict[str, Any]:
    """Reads a JSON object: as it is written, from `@FILE`, or from standard input for `-`."""
    is_place = given == _STDIN or given.startswith("@")
    written = content_of(given.removeprefix("@")) if is_place else given
    try:
        found = json.loads(written)
    except ValueError as error:
        raise Failed(f"{flag} is no JSON: {error}.", ExitCode.USAGE) from None
    return _object(found, flag)


def yaml_object(place: str) -> dict[str, Any]:
    """Reads a file of YAML, of which JSON is a part."""
    import yaml  # noqa: PLC0415 - 25 ms, which only this needs

    try:
        found = yaml.safe_load(content_of(place))
    except yaml.YAMLError as error:
        raise Failed(f"{place} is no YAML: {error}", ExitCode.USAGE) from None
    return _object(found, place)


def _object(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Failed(f"{what} must be an object, such as {{}}.", ExitCode.USAGE)
    return found
