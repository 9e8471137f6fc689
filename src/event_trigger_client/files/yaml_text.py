"""Reads YAML without its surprises: dates, `no` and `on` are texts, and no key is written twice.

Numbers, `true`, `false` and `null` are what JSON has; everything else is a text.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import yaml

from event_trigger_client.files.problems import BadFile, Mistake, Path, Place, Places

_LARGEST_FILE = 4 * 1024 * 1024  # characters; the service takes 1 MiB of JSON
_MOST_VALUES = 200_000  # with those that aliases repeat
_DEEPEST = 64  # as in requests
_CORE = "tag:yaml.org,2002:"
_MERGE = "<<"
_PLAIN = (None, "")  # the style of what has no quotes; libyaml has an empty text
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class Text(NamedTuple):
    """The value of a YAML text, and the places of all its parts."""

    value: Any
    places: Places


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Tells quoted scalars from plain ones; what plain ones mean is for `plain_value`."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


def read_yaml(text: str) -> Text:
    """Reads one document; raises BadFile with the places of its mistakes."""
    if len(text) > _LARGEST_FILE:
        raise BadFile([Mistake(None, "A file has at most 4 MiB: split it into several sets.")])
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise BadFile([_syntax(error)]) from None
    except yaml.reader.ReaderError as error:
        detail = f"There is a character that YAML does not allow: U+{error.character:04X}."
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - before.rfind("\n"))
        raise BadFile([Mistake(place, detail)]) from None
    except RecursionError:
        raise BadFile([Mistake(None, _TOO_DEEP)]) from None
    if node is None:
        raise BadFile([Mistake(None, "The file is empty: begin with version: 1.")])
    reader = _Reader()
    value = reader.read(node, (), node.start_mark)
    if reader.mistakes:
        raise BadFile(reader.mistakes)
    return Text(value, Places(reader.places))


_TOO_DEEP = f"Values are nested in each other more than {_DEEPEST} deep."


def _syntax(error: yaml.MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    told = " ".join(one for one in (error.context, error.problem) if one)
    detail = f"This is no YAML: {told}."
    if "'\\t'" in told:
        detail = "Indent with blanks: YAML does not allow tabs there."
    return Mistake(None if mark is None else _place(mark), detail)


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def plain_value(text: str) -> Any:
    """Returns the meaning of a scalar without quotes."""
    lowered = text.lower() if text in {text.lower(), text.title(), text.upper()} else text
    if lowered in _WORDS:
        return _WORDS[lowered]
    if INTEGER.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text):
        return float(text)
    return text


_TAGGED: dict[str, Callable[[str], Any]] = {"str": str, "null": lambda _: None}


class _Reader:
    """Makes values of nodes, and notes places and mistakes."""

    def __init__(self) -> None:
        self.places: dict[Path, Place] = {}
        self.mistakes: list[Mistake] = []
        self._count = 0

    def read(self, node: yaml.Node, path: Path, mark: yaml.Mark) -> Any:
        self.places[path] = _place(mark)
        self._count += 1
        if self._count > _MOST_VALUES:
            detail = f"The file has more than {_MOST_VALUES:,} values, those of aliases included."
            raise BadFile([Mistake(_place(mark), detail)])
        if len(path) > _DEEPEST:
            raise BadFile([Mistake(_place(mark), _TOO_DEEP)])
        match node:
            case yaml.MappingNode() if self._is_plain(node, "map"):
                return self._map(node, path)
            case yaml.SequenceNode() if self._is_plain(node, "seq"):
                values = enumerate(node.value)
                return [self.read(one, (*path, at), one.start_mark) for at, one in values]
            case yaml.ScalarNode():
                return self._scalar(node)
        return None

    def _is_plain(self, node: yaml.Node, kind: str) -> bool:
        if node.tag == _CORE + kind:
            return True
        detail = f"Tags such as {node.tag.replace(_CORE, '!!')} are not read: leave it out."
        self.mistakes.append(Mistake(_place(node.start_mark), detail))
        return False

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag == _CORE + "str":
            is_plain = node.style in _PLAIN
            try:
                return plain_value(node.value) if is_plain else node.value
            except ValueError:
                detail = "This number is too long: write it in quotes."
                self.mistakes.append(Mistake(_place(node.start_mark), detail))
                return None
        self._is_plain(node, "str")
        return None

    def _map(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        written: dict[str, Place] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self.mistakes.append(Mistake(place, "A key is a text: write it in one line."))
                continue
            key = key_node.value
            if key in written:
                detail = f"{key} is written twice: first in line {written[key].line}."
                self.mistakes.append(Mistake(place, detail))
                continue
            written[key] = place
            if key == _MERGE and key_node.style in _PLAIN:
                for one in self._merged(value_node, path):
                    merged = one | merged
            else:
                found[key] = self.read(value_node, (*path, key), key_node.start_mark)
        return merged | found

    def _merged(self, node: yaml.Node, path: Path) -> Iterator[dict[str, Any]]:
        """Reads the maps that `<<` adds; what is written beside it counts before them."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for one in nodes:
            before = dict(self.places)
            if isinstance(one, yaml.MappingNode):
                yield self._map(one, path)
                self.places |= before
            else:
                detail = "<< adds a map, or a list of maps, by an alias such as *base."
                self.mistakes.append(Mistake(_place(one.start_mark), detail))
