"""Writes files that people review: members with comments, and texts that no reader mistakes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from event_trigger_client.files.variables import escaped
from event_trigger_client.files.yaml_text import FLOAT

_LONGEST_COMMENT = 110


@dataclass
class Member:
    """A trigger, destination or calendar in the form of a file, and comments above it."""

    fields: Any
    comments: list[str] = field(default_factory=list)


@dataclass
class Draft:
    """The members from which a file is written; `notes` are comments at its beginning and end."""

    set_name: str
    notes: list[str] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)
    calendars: dict[str, Member] = field(default_factory=dict)
    destinations: dict[str, Member] = field(default_factory=dict)
    triggers: dict[str, Member] = field(default_factory=dict)
    last_notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Writes the file; texts that look like variables are escaped, except in `Raw`."""
        parts = [_comments(self.notes), _dump({"version": 1, "set": self.set_name})]
        if self.defaults:
            parts.append("\n" + _dump({"defaults": self.defaults}))
        for title in ("calendars", "destinations", "triggers"):
            members: Mapping[str, Member] = getattr(self, title)
            if members:
                parts.append(f"\n{title}:\n")
                parts += [_member(key, one) for key, one in members.items()]
        if self.last_notes:
            parts.append("\n" + _comments(self.last_notes))
        return "".join(parts)


class Raw(str):
    """A text that is written as it is, with its variables."""

    __slots__ = ()

    def replace(self, *_: Any) -> "Raw":
        return self


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Quotes what any reader of YAML might take for something else than a text."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Writes lines as a block, unless blank ones at its end would count."""
    if text.isprintable():
        style = None
    else:
        is_block = text.replace("\n", "").isprintable() and text.strip() and text[-2:] != "\n\n"
        style = "|" if is_block else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Raw, _text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))


def _member(key: str, member: Member) -> str:
    comments = "".join(f"  {one}\n" for one in _comments(member.comments).splitlines())
    lines = _dump({key: escaped(member.fields)}).removesuffix("\n").split("\n")
    return comments + "".join(f"  {line}\n" if line.strip() else "\n" for line in lines)


def _dump(value: Any) -> str:
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text


def _comments(texts: Iterable[str]) -> str:
    return "".join(f"# {line}\n" for text in texts for line in _broken(text))


def _broken(text: str) -> Sequence[str]:
    """Breaks a comment into lines, and escapes what would end it or act on a terminal."""
    shown = "".join(one if one.isprintable() else _named(one) for one in text)
    lines, line = [], ""
    for word in shown.split(" "):
        if line and len(line) + len(word) >= _LONGEST_COMMENT:
            lines.append(line)
            line = "  " + word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _named(character: str) -> str:
    return " " if character == "\t" else character.encode("unicode_escape").decode()
