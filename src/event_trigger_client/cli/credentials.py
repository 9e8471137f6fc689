"""Keeps secrets: in the system's keyring if there is one, else in a file of the user alone."""

import json
import os
import stat
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.profiles import write_privately

_SERVICE = "event-trigger"
_KEYRING, _FILE = "keyring", "file"


class Credentials:
    """Reads and writes secrets by name; `place` is where `keep` has put one."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "credentials.json"

    def keep(self, name: str, secret: str) -> str:
        """Keeps a secret, and returns its place."""
        keyring = _keyring()
        if keyring is not None:
            with suppress(Exception):  # a keyring that does not open: there is the file
                keyring.set_password(_SERVICE, name, secret)
                return _KEYRING
        write_privately(self._file, json.dumps({**self._read(), name: secret}, indent=2))
        return _FILE

    def get(self, name: str, place: str | None) -> str | None:
        if place != _KEYRING:
            return self._read().get(name)
        keyring = _required_keyring()
        try:
            found = keyring.get_password(_SERVICE, name)
        except Exception as error:  # its backends raise what they like
            kind = type(error).__name__
            raise Failed(f"The keyring does not open ({kind}).", ExitCode.SIGN_IN) from None
        return found if isinstance(found, str) else None

    def get_anywhere(self, name: str) -> str | None:
        """Finds a secret whose place is not on record."""
        kept = self._read().get(name)
        if kept is None and _keyring() is not None:
            return self.get(name, _KEYRING)
        return kept

    def forget(self, name: str, place: str | None) -> None:
        if place == _KEYRING:
            with suppress(Exception):  # it is not there any more, or the keyring does not open
                _required_keyring().delete_password(_SERVICE, name)
            return
        kept = self._read()
        if kept.pop(name, None) is not None:
            write_privately(self._file, json.dumps(kept, indent=2))

    def _read(self) -> dict[str, str]:
        """Reads the file, and refuses one that others can read."""
        try:
            with self._file.open("rb") as file:
                _check_owner(self._file, os.fstat(file.fileno()))
                found = json.load(file)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Failed(f"{self._file} cannot be read: {error}", ExitCode.SIGN_IN) from None
        return found if isinstance(found, dict) else {}


def _check_owner(file: Path, found: os.stat_result) -> None:
    if os.name == "nt":
        return  # the user's profile folder is closed to others there
    if found.st_uid != os.getuid():
        raise Failed(f"{file} belongs to another user, so it is not used.", ExitCode.SIGN_IN)
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise Failed(
            f"Others can read {file}, so it is not used. Close it: chmod 600 '{file}'. If somebody"
            " may have read it, end its keys: event-trigger keys list",
            ExitCode.SIGN_IN,
        )


def _keyring() -> Any:
    """Returns the package `keyring`, or None if it is not installed or finds nothing to keep in."""
    try:
        keyring = import_module("keyring")
        priority = getattr(keyring.get_keyring(), "priority", 0)
    except Exception:  # a backend that cannot start is none
        return None
    return keyring if priority > 0 else None  # the backend `fail` has 0


def _required_keyring() -> Any:
    try:
        return import_module("keyring")
    except ImportError:
        raise Failed(
            "Your key is in the system's keyring. Install the package keyring, or sign in again:"
            " event-trigger login",
            ExitCode.SIGN_IN,
        ) from None
