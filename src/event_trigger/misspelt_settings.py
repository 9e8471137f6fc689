"""Finds settings that have no effect, because their name is none of ours."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from dotenv import dotenv_values

from event_trigger.config import Settings
from event_trigger.web.invalid_requests import nearest_name

_PREFIX = "EVENT_TRIGGER_"
_READ_ELSEWHERE = frozenset(
    {
        "EVENT_TRIGGER_PG_BIN",  # db/embedded/binaries.py
        "EVENT_TRIGGER_PROFILE",  # this and the others are of commands that call a service
        "EVENT_TRIGGER_PROJECT",
        "EVENT_TRIGGER_SIGNING_SECRET",
        "EVENT_TRIGGER_TOKEN",
        "EVENT_TRIGGER_URL",
    }
)


class MisspeltSetting(NamedTuple):
    """A name that is set, and the setting that was probably meant."""

    name: str
    meant: str | None

    def __str__(self) -> str:
        guess = f" Did you mean {self.meant}?" if self.meant else ""
        return f"{self.name} is no setting, and has no effect.{guess}"


def misspelt_settings() -> Iterator[MisspeltSetting]:
    """Looks through the environment and `.env`; names are read without regard to case."""
    prefixed = (name for name, one in Settings.model_fields.items() if one.validation_alias is None)
    known = {f"{_PREFIX}{name.upper()}" for name in prefixed} | _READ_ELSEWHERE
    given = {name.upper() for name in (*os.environ, *dotenv_values(".env"))}
    for name in sorted(given - known):
        if name.startswith(_PREFIX):
            yield MisspeltSetting(name, _nearest(name, known))


def _nearest(name: str, known: set[str]) -> str | None:
    """Compares without the prefix, which would make any two names alike."""
    short = {one.removeprefix(_PREFIX).lower() for one in known}
    found = nearest_name(name.removeprefix(_PREFIX), short)
    return None if found is None else f"{_PREFIX}{found.upper()}"
