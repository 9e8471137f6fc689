"""Filters of templates that replace those of python-liquid, or that it does not have."""

import json
import re
import zoneinfo
from contextlib import suppress
from datetime import UTC, datetime, tzinfo

from liquid import Environment
from liquid.exceptions import FilterArgumentError, UndefinedError
from liquid.undefined import Undefined

from event_trigger.triggers.schedule.zone_rules import zone_rules

_MOST_DATE_FORMAT = 200  # characters
_DIRECTIVE = re.compile(r"%(-?[aAbBcdeHIjlkmMpSuUVwWyYZzxXfFTDRhGgCnt%s])|%")
_NOT_DETERMINISTIC = frozenset({"now", "today"})
_ZONE_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,3}", re.ASCII)
_SIZED = frozenset({str, list, dict, tuple, range})
_LEFT_OUT = ("date", "safe")  # reads the clock and guesses; trusts HTML

MOST_QUADRATIC = 22_000  # items or characters that a filter of quadratic time takes
QUADRATIC = frozenset({"uniq", "strip_html"})


def register_filters(environment: Environment) -> None:
    for name in _LEFT_OUT:
        del environment.filters[name]
    environment.add_filter("json", to_json)
    environment.add_filter("date", format_date)


def load_zones() -> None:
    """Reads the rules of all zones, so that `date` opens no files afterwards."""
    for name in zoneinfo.available_timezones():
        with suppress(LookupError):
            zone_rules().get(name)


def to_json(value: object) -> str:
    """Writes a value as JSON, in the order and with the characters that it was sent with."""
    try:
        return _encode(value)
    except ValueError:
        raise FilterArgumentError("a number is too large for JSON", token=None) from None


def _plain(value: object) -> object:
    """Gives a value that the encoder knows; raises UndefinedError for one that is missing."""
    if isinstance(value, Undefined):
        _poke(value)
    if isinstance(value, range):
        return list(value)
    raise FilterArgumentError("this cannot be written as JSON", token=None)


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode


def format_date(value: object, layout: object = "%Y-%m-%d %H:%M", zone: object = "UTC") -> str:
    """Formats an RFC 3339 time, or seconds since 1970, with the directives of strftime(3).

    The third argument is a time zone (IANA). It knows no "now": each attempt sends the same.
    """
    for one in (value, layout, zone):
        if isinstance(one, Undefined):
            _poke(one)
    at = _instant(value).astimezone(_zone(zone))
    layout = str(layout)
    if len(layout) > _MOST_DATE_FORMAT:
        raise FilterArgumentError(
            f"date: write a format of at most {_MOST_DATE_FORMAT} characters", token=None
        )
    return _DIRECTIVE.sub(lambda found: _formatted(at, found[1]), layout)


def _formatted(at: datetime, directive: str | None) -> str:
    if directive is None:
        raise FilterArgumentError(
            "date: a % in the format begins a directive such as %Y, %m, %d, %H, %M; write %% for %",
            token=None,
        )
    return str(int(at.timestamp())) if directive.endswith("s") else at.strftime(f"%{directive}")


def _instant(value: object) -> datetime:
    if isinstance(value, str) and value.strip().lower() in _NOT_DETERMINISTIC:
        raise FilterArgumentError(
            "date: write event.time for the time of the event; the present time is not known,"
            " since each attempt sends the same",
            token=None,
        )
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return datetime.fromtimestamp(int(value[:20]), UTC)
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise FilterArgumentError(
        "date: this is no time; it takes one such as 2026-11-29T09:00:00Z, or seconds since 1970",
        token=None,
    )


def _zone(name: object) -> tzinfo:
    try:
        if isinstance(name, str) and _ZONE_NAME.fullmatch(name):
            return zone_rules().get(name).zone
    except LookupError:
        pass
    raise FilterArgumentError(
        "date: write a time zone such as Europe/Berlin, or none for UTC", token=None
    )


def _poke(missing: Undefined) -> None:
    """Raises UndefinedError, if the environment is strict."""
    len(missing)
    raise UndefinedError("a value is missing", token=None)


def size_of(value: object) -> int:
    """Says how much work a value is to a filter: characters, items, or nothing."""
    return len(value) if type(value) in _SIZED else 0  # type: ignore[arg-type]
