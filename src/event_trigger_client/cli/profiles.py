"""Keeps the services that a user calls, in `config.toml` of the user's configuration folder."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from event_trigger_client.cli.exits import ExitCode, Failed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIRST = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HEAD = "# Written by event-trigger; `event-trigger profiles use NAME` changes the current one.\n"


@dataclass(frozen=True)
class Profile:
    """A service, as whom it is called, and where the token is kept: `keyring` or `file`."""

    name: str
    url: str
    email: str | None = None
    project: str | None = None
    key_id: int | None = None
    token_in: str | None = None

    def as_table(self) -> dict[str, Any]:
        return {
            name: one for name, one in asdict(self).items() if name != "name" and one is not None
        }


def configuration_folder() -> Path:
    """Returns the folder of this program below the one that the system has for configurations."""
    return Path(typer.get_app_dir("event-trigger", force_posix=False))


class Profiles:
    """Reads and writes the file as a whole."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "config.toml"
        self.current: str | None = None
        self._profiles: dict[str, Profile] = {}
        self._read()

    def __iter__(self) -> Any:
        return iter(self._profiles.values())

    def get(self, name: str) -> Profile | None:
        return self._profiles.get(name)

    def get_one(self, name: str) -> Profile:
        found = self._profiles.get(name)
        if found is None:
            known = ", ".join(self._profiles) or "none yet"
            raise Failed(f"There is no profile {name!r}. There is: {known}.", ExitCode.USAGE)
        return found

    def put(self, profile: Profile) -> None:
        """Adds or replaces a profile, and makes it the current one."""
        check_name(profile.name)
        self._profiles[profile.name] = profile
        self.use(profile.name)

    def use(self, name: str) -> None:
        self.current = self.get_one(name).name
        self._write()

    def remove(self, name: str) -> None:
        """Removes a profile; the first of the others becomes the current one."""
        del self._profiles[name]
        if self.current == name:
            self.current = next(iter(self._profiles), None)
        self._write()

    def _read(self) -> None:
        try:
            found = tomllib.loads(self._file.read_text())
            profiles = found.get("profiles", {})
            self._profiles = {name: _profile(name, table) for name, table in profiles.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError) as error:
            raise Failed(f"{self._file} cannot be read: {error}", ExitCode.USAGE) from None
        current = found.get("current")
        self.current = current if current in self._profiles else None

    def _write(self) -> None:
        import tomli_w  # noqa: PLC0415 - only a login writes

        current = {} if self.current is None else {"current": self.current}
        tables = {name: one.as_table() for name, one in self._profiles.items()}
        write_privately(self._file, _HEAD + tomli_w.dumps({**current, "profiles": tables}))


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Failed(
            f"{name!r} cannot be the name of a profile. Write letters, digits, - and _.",
            ExitCode.USAGE,
        )


def write_privately(file: Path, text: str) -> None:
    """Replaces a file at once by one that only its owner can read."""
    from tempfile import NamedTemporaryFile  # noqa: PLC0415 - only a login writes

    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=file.parent, delete=False) as written:  # mode 0600
            written.write(text)
        os.replace(written.name, file)  # noqa: PTH105 - a path of one type needs no other
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}.") from None


def _profile(name: str, table: Mapping[str, Any]) -> Profile:
    known = {one for one in Profile.__dataclass_fields__ if one != "name"}
    return Profile(name, **{field: one for field, one in table.items() if field in known})
