"""Holds the names of triggers that events show."""

from typing import NamedTuple


class TriggerNames(NamedTuple):
    """The names of a trigger that its user gave it."""

    key: str | None
    name: str | None


NAMELESS = TriggerNames(None, None)
