"""Writes text that no terminal takes as a command, and JSON and YAML."""

import json
import re
from typing import Any

# C0, DEL, C1, and what changes the direction of text
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROLS_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Escapes control and bidirectional characters: `\\x1b` stands for an escape."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Writes JSON for people: letters as they are, and no raw control character."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _CONTROLS_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def as_yaml(value: Any) -> str:
    import yaml  # noqa: PLC0415 - 25 ms, which only this needs

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return text


def as_cell(value: Any) -> str:
    """Writes a value in one line of a table: nothing for null, lists with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        return harmless(", ".join(str(one) for one in value))
    if isinstance(value, dict | list):
        return harmless(as_json(value))
    return harmless(str(value))
