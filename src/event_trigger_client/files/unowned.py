"""Reads the members that no set owns, in the form in which a set is shown."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Row = Mapping[str, Any]
_KINDS = ("calendars", "destinations", "triggers")
_OF_TRIGGERS = ("type", "name", "details", "payload", "tags", "destinations", "on_completion")
_OF_DESTINATIONS = (
    *("url", "format", "method", "template", "content_type", "subject", "description", "headers"),
    *("client_certificate", "timeout", "rate_limit", "max_concurrency", "notices", "all_projects"),
)
_DEFAULTS: Row = {
    "format": "cloudevents",
    "method": "POST",
    "timeout": 15,
    "max_concurrency": 10,
    "all_projects": False,
    "on_completion": "keep",
}


class Lists(NamedTuple):
    """How members are read: whole lists, and one thing by its path."""

    rows: Callable[[str], Iterable[Row]]
    get: Callable[[str], Any]


class Unowned(NamedTuple):
    """The content of a set that would have all these members, and those without a key."""

    content: dict[str, dict[str, Any]]
    keyless: list[str]


def read_unowned(lists: Lists) -> Unowned:
    owned: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    for one in lists.rows("/sets"):
        content = lists.get(f"/sets/{one['name']}")
        for kind in _KINDS:
            owned[kind] |= content[kind].keys()
    rows = {kind: [*lists.rows(f"/{kind}")] for kind in _KINDS}
    free = {kind: [one for one in rows[kind] if one["key"] not in owned[kind]] for kind in _KINDS}
    keys = {one["id"]: one["key"] for one in rows["destinations"] if one["key"] is not None}
    calendars = (lists.get(f"/calendars/{one['key']}") for one in free["calendars"])
    content = {
        "calendars": {one["key"]: _calendar(one) for one in calendars},
        "destinations": dict(_named(free["destinations"], _destination)),
        "triggers": dict(_named(free["triggers"], lambda one: _trigger(one, keys))),
    }
    keyless = [
        f"{kind[:-1]} {one['id']}" for kind in _KINDS for one in free[kind] if one["key"] is None
    ]
    return Unowned({kind: dict(sorted(content[kind].items())) for kind in content}, keyless)


def _named(rows: Iterable[Row], form: Callable[[Row], Any]) -> Iterator[tuple[str, Any]]:
    for one in rows:
        if one["key"] is not None:
            yield one["key"], form(one)


def _calendar(row: Row) -> dict[str, Any]:
    return {"dates": row["dates"]} if row["ics"] is None else {"ics": row["ics"]}


def _destination(row: Row) -> dict[str, Any]:
    return _without_defaults({name: row[name] for name in _OF_DESTINATIONS if name in row})


def _trigger(row: Row, keys: Mapping[int, str]) -> dict[str, Any]:
    found = _without_defaults({name: row[name] for name in _OF_TRIGGERS if name in row})
    if "destinations" in found:
        found["destinations"] = [keys.get(one, one) for one in found["destinations"]]
    return found | ({"status": "paused"} if row["status"] == "paused" else {})


def _without_defaults(fields: Row) -> dict[str, Any]:
    return {
        name: value
        for name, value in fields.items()
        if value not in (None, [], {}) and value != _DEFAULTS.get(name)
    }
