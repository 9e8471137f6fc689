"""Reads a file into the set that it describes, as the service takes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import unquote

from event_trigger_client.files import members, triggers
from event_trigger_client.files.problems import BadFile, Mistake, Path, Place, Places
from event_trigger_client.files.shape import check_shape
from event_trigger_client.files.variables import Filled, fill
from event_trigger_client.files.yaml_text import read_yaml

_KINDS = ("calendars", "destinations", "triggers")
_SKIPPED = ("details", "dates")  # places of a request that a file may leave out


@dataclass(frozen=True)
class SetFile:
    """The content of a file: the name of its set, and what `PUT /sets/{name}` takes.

    `written` is the file as it is written, without values of the environment.
    """

    name: str
    set_name: str
    body: dict[str, Any] = field(repr=False)
    written: dict[str, Any]
    places: Places = field(repr=False)
    filled: Filled = field(repr=False)

    def place_of(self, pointer: str) -> Place | None:
        """Returns where the file has what a pointer of the service means."""
        return self.places.of(self._path_of(pointer)[0])

    def names_at(self, pointer: str) -> list[str]:
        """Lists the variables of the environment in a value, which must not be shown then."""
        path, is_written = self._path_of(pointer)
        return self.filled.names_in(path) if is_written else []

    def _path_of(self, pointer: str) -> tuple[Path, bool]:
        """Follows a pointer through the short forms of the file, as far as they are written."""
        path: Path = ()
        here: Any = self.written
        for part in _parts_of(pointer):
            if isinstance(here, list) and part.isdigit() and int(part) < len(here):
                path, here = (*path, int(part)), here[int(part)]
                continue
            known = here if isinstance(here, dict) else {}
            name = "every" if part == "interval" and "every" in known else part
            if part == "details" and "heartbeat" in known:
                name = "heartbeat"
            if name in known:
                path, here = (*path, name), known[name]
            elif part not in _SKIPPED:
                inherited = ("defaults", part)
                is_of_trigger = path[:1] == ("triggers",) and len(path) == 2
                if is_of_trigger and inherited in self.places.by_path:
                    return inherited, True
                return path, False
        return path, True


def _parts_of(pointer: str) -> list[str]:
    parts = unquote(pointer).removeprefix("#").split("/")[1:]
    return [one.replace("~1", "/").replace("~0", "~") for one in parts]


def read_path(path: FilePath, environment: Mapping[str, str]) -> SetFile:
    """Reads a file, and others that it names beside it; raises BadFile with all mistakes."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadFile([Mistake(None, f"It cannot be read: {error.strerror}.")], str(path)) from None
    except UnicodeDecodeError:
        raise BadFile([Mistake(None, "It is not written in UTF-8.")], str(path)) from None
    return read_text(text, environment, folder=path.parent, name=str(path))


def read_text(text: str, environment: Mapping[str, str], *, folder: FilePath, name: str) -> SetFile:
    """Reads the text of a file whose neighbours are in `folder`.

    1. Reads the YAML, in which no key is written twice.
    2. Checks its shape, before values of the environment are in it.
    3. Fills in the environment, reads the neighbours, and writes the short forms out.
    """
    try:
        found = read_yaml(text)
        check_shape(found.value, found.places)
        filled = fill(found.value, environment, found.places)
        body = _Expansion(filled.value, found.places, folder).body()
    except BadFile as error:
        raise BadFile(error.mistakes, name) from None
    return SetFile(name, filled.value["set"], body, found.value, found.places, filled)


class _Expansion:
    """Writes the short forms of one file out, and notes mistakes."""

    def __init__(self, value: dict[str, Any], places: Places, folder: FilePath) -> None:
        self._value, self._places, self._folder = value, places, folder
        self._mistakes: list[Mistake] = []

    def body(self) -> dict[str, Any]:
        given = {kind: self._value.get(kind, {}) for kind in _KINDS}
        defaults = self._value.get("defaults", {})
        body: dict[str, Any] = {
            "calendars": {
                key: members.calendar(one, self._loading(("calendars", key, "ics")))
                for key, one in given["calendars"].items()
            },
            "destinations": {
                key: members.destination(one) for key, one in given["destinations"].items()
            },
            "triggers": {
                key: triggers.expanded(
                    one, defaults, self._loading_json(("triggers", key, "schema"))
                )
                for key, one in given["triggers"].items()
            },
        }
        if self._value.get("moved"):
            body["moved"] = self._value["moved"]
        if self._mistakes:
            raise BadFile(self._mistakes)
        return body

    def _loading(self, path: Path) -> Any:
        return lambda name: self._text_of(name, path)

    def _loading_json(self, path: Path) -> Any:
        def load(name: str) -> Any:
            text = self._text_of(name, path)
            try:
                found = json.loads(text) if text else {}
            except (ValueError, RecursionError):
                self._mistakes.append(self._places.mistake(path, "That file is no JSON."))
                return {}
            if not isinstance(found, dict):
                self._mistakes.append(self._places.mistake(path, "That file has no JSON object."))
            return found

        return load

    def _text_of(self, name: str, path: Path) -> str:
        """Reads a neighbour: a file in the folder of this one, or in a folder of that."""
        folder = self._folder.resolve()
        try:
            place = (folder / name).resolve()
            if place.is_relative_to(folder):
                return place.read_bytes().decode("utf-8-sig")
            detail = "Name a file in the folder of this one, or in a folder of that."
        except OSError as error:
            detail = f"That file cannot be read: {error.strerror}."
        except ValueError:  # no UTF-8, or no name of a file
            detail = "That file cannot be read: it is no text in UTF-8."
        self._mistakes.append(self._places.mistake(path, detail))
        return ""
