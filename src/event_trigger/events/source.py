"""Describes the origin of an event, as it is stored beside the event and shown with it."""

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import NamedTuple

from event_trigger.auth.principal import Principal

_MOST_CALLERS = 1024  # that are remembered


class SourceKind(StrEnum):
    SCHEDULE = "schedule"
    LOGIN = "login"
    API_KEY = "api_key"
    HOOK = "hook"
    REPLAY = "replay"


class EventSource(NamedTuple):
    """The origin of an event.

    Logins and keys have `user_id`; keys also `key_id`. `address` is the caller's IP address.
    Hooks have what came besides the body: `method`, `query` as it was sent, and those `headers`
    that say what the call is about, by lower-case name; never credentials or signatures.
    """

    kind: SourceKind
    user_id: int | None = None
    key_id: int | None = None
    address: str | None = None
    method: str | None = None
    query: str | None = None
    headers: Mapping[str, str] | None = None

    def as_json(self) -> str:
        """Writes the fields that are set, as they are stored in `events.source`."""
        written = _written(*self[:-1])
        if self.headers is None:
            return written
        headers = ", ".join(
            [f"{quoted(name)}: {quoted(one)}" for name, one in self.headers.items()]
        )
        return f'{written[:-1]}, "headers": {{{headers}}}}}'


@lru_cache(maxsize=_MOST_CALLERS)  # callers repeat themselves, and calls are many
def _written(*values: object) -> str:
    """Writes the fields of a source that come before its headers."""
    fields = zip(EventSource._fields, values, strict=False)
    return json.dumps({name: value for name, value in fields if value is not None})


_caller = lru_cache(maxsize=_MOST_CALLERS)(EventSource)


def caller_source(principal: Principal, address: str | None) -> EventSource:
    """Describes an event that a login or a key makes by a call from an address."""
    kind = SourceKind.LOGIN if principal.key_id is None else SourceKind.API_KEY
    return _caller(kind, principal.user_id, principal.key_id, address)
