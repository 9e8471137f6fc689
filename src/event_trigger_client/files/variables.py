"""Puts values of the environment into texts: `${NAME}`; `$${` stands for a plain `${`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from event_trigger_client.files.problems import BadFile, Mistake, Path, Places

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass
class Filled:
    """A value with those of the environment in it, and the names of these, by paths."""

    value: Any
    names: dict[Path, list[str]] = field(default_factory=dict)

    def names_in(self, path: Path) -> list[str]:
        """Lists the variables that are in a value, or in a part of it."""
        found = [names for one, names in self.names.items() if one[: len(path)] == path]
        return list(dict.fromkeys(name for names in found for name in names))


def fill(value: Any, environment: Mapping[str, str], places: Places) -> Filled:
    """Fills in all texts but keys; raises BadFile that names what is missing, and no value."""
    filled = Filled(None)
    mistakes: list[Mistake] = []

    def walk(part: Any, path: Path) -> Any:
        if isinstance(part, dict):
            return {key: walk(one, (*path, key)) for key, one in part.items()}
        if isinstance(part, list):
            return [walk(one, (*path, at)) for at, one in enumerate(part)]
        return text(part, path) if isinstance(part, str) else part

    def text(part: str, path: Path) -> str:
        def put(found: re.Match[str]) -> str:
            name = found[1]
            if name is None:
                return "${"
            if not found[2] or not _NAME.fullmatch(name):
                detail = "Write ${NAME} for a value of the environment, or $${ for a plain ${."
                mistakes.append(places.mistake(path, detail))
                return ""
            if name not in environment:
                detail = f"The environment has no {name}: set it, or write $${{ for a plain ${{."
                mistakes.append(places.mistake(path, detail))
                return ""
            filled.names.setdefault(path, []).append(name)
            return environment[name]

        return _VARIABLE.sub(put, part)

    filled.value = walk(value, ())
    if mistakes:
        raise BadFile(mistakes)
    return filled


def escaped(value: Any) -> Any:
    """Writes all texts so that `fill` gives them back."""
    if isinstance(value, dict):
        return {key: escaped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [escaped(one) for one in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def new_names(*wanted: str) -> Iterator[str]:
    """Makes names of variables of words, each once."""
    used = set[str]()
    for one in wanted:
        base = re.sub(r"[^A-Z0-9]+", "_", one.upper()).strip("_")
        base = base if _NAME.fullmatch(base) else f"_{base}"
        name, count = base, 1
        while name in used:
            count += 1
            name = f"{base}_{count}"
        used.add(name)
        yield name
