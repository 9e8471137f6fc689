"""Finds time zones by their IANA names, and says which names others may mean."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from tzlocal.windows_tz import win_tz

from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.zone_rules import Rules, zone_rules

_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
_MAX_ZONE_CHARACTERS = 64
# Files beside the zones that depend on the machine, count leap seconds or stand for "not set".
_NOT_ZONES = re.compile(r"(?:posix|right)/.*|localtime|posixrules|Factory")
_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])\s*([0-9]{1,2})(?::?([0-9]{2}))?", re.IGNORECASE)
_MOST_HOURS = {"-": 12, "+": 14}  # west and east of Greenwich, as Etc/GMT has them
_PLACES_OF_OFFSETS = {
    "-0930": "Pacific/Marquesas",
    "-0330": "America/St_Johns",
    "+0330": "Asia/Tehran",
    "+0430": "Asia/Kabul",
    "+0530": "Asia/Kolkata",
    "+0545": "Asia/Kathmandu",
    "+0630": "Asia/Yangon",
    "+0930": "Australia/Darwin",
    "+1030": "Australia/Lord_Howe",
}
_PLACES: Mapping[str, Sequence[str]] = {  # of abbreviations that are no IANA names
    "ACST": ("Australia/Adelaide",),
    "AEDT": ("Australia/Sydney",),
    "AEST": ("Australia/Sydney", "Australia/Brisbane"),
    "AKST": ("America/Anchorage",),
    "AST": ("America/Halifax",),
    "AWST": ("Australia/Perth",),
    "BRT": ("America/Sao_Paulo",),
    "BST": ("Europe/London",),
    "CAT": ("Africa/Harare",),
    "CDT": ("America/Chicago",),
    "CEST": ("Europe/Berlin", "Europe/Paris"),
    "CST": ("America/Chicago", "Asia/Shanghai"),
    "EAT": ("Africa/Nairobi",),
    "EDT": ("America/New_York",),
    "EEST": ("Europe/Athens", "Europe/Helsinki"),
    "HKT": ("Asia/Hong_Kong",),
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "JST": ("Asia/Tokyo",),
    "KST": ("Asia/Seoul",),
    "MDT": ("America/Denver",),
    "MSK": ("Europe/Moscow",),
    "NZDT": ("Pacific/Auckland",),
    "NZST": ("Pacific/Auckland",),
    "PDT": ("America/Los_Angeles",),
    "PKT": ("Asia/Karachi",),
    "PST": ("America/Los_Angeles", "Asia/Manila"),
    "SAST": ("Africa/Johannesburg",),
    "SGT": ("Asia/Singapore",),
    "WEST": ("Europe/Lisbon",),
    "WIB": ("Asia/Jakarta",),
    "Z": ("UTC",),
    **dict.fromkeys(("MEZ", "MESZ"), ("Europe/Berlin",)),
    **dict.fromkeys(("ET", "EASTERN"), ("America/New_York",)),
    **dict.fromkeys(("CT", "CENTRAL"), ("America/Chicago",)),
    **dict.fromkeys(("MT", "MOUNTAIN"), ("America/Denver",)),
    **dict.fromkeys(("PT", "PACIFIC"), ("America/Los_Angeles",)),
}
_NAMES_OF_TODAY = {  # of zones that Windows' names stand for
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Godthab": "America/Nuuk",
    "America/Indianapolis": "America/Indiana/Indianapolis",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Europe/Kiev": "Europe/Kyiv",
}


def read_rules(key: str) -> Rules:
    """Returns the rules in force for an IANA zone; raises ScheduleError, also for file names."""
    found = zone_rules().get_in_force(key)  # only zones that passed the checks below
    return found or _read_rules(key)


def is_zone(key: str) -> bool:
    try:
        read_rules(key)
    except ScheduleError:
        return False
    return True


def iana_name(key: str) -> str:
    """Writes the name of a zone as IANA does, without regard to its case; others stay."""
    return _names().get(key.strip().lower(), key)


def _read_rules(key: str) -> Rules:
    try:
        if (
            len(key) <= _MAX_ZONE_CHARACTERS
            and _ZONE_NAME.fullmatch(key)
            and not _NOT_ZONES.fullmatch(key)
        ):
            return zone_rules().get(key)
    except (OSError, LookupError, ValueError):
        pass  # a folder, a missing file, a file that is no zone
    message = "timezone must be a name in the IANA database, such as Europe/Berlin or UTC."
    raise ScheduleError(f"{message}{_advice(key)}", field="timezone")


def _advice(key: str) -> str:
    """Names what an abbreviation, an offset, a city or a Windows name may mean; else nothing."""
    name = key.strip()[:_MAX_ZONE_CHARACTERS]
    if offset := _OFFSET.fullmatch(name):
        return _advice_on_offset(offset)
    meant = _PLACES.get(name.upper()) or _windows_names().get(name.lower()) or _similar_names(name)
    *others, last = meant or ("",)
    either = f"{', '.join(others)} or {last}" if others else last
    return f" This may mean {either}." if meant else ""


def _similar_names(name: str) -> Sequence[str]:
    """Finds zones by their last part, such as a city, or that are spelt nearly so."""
    place, names = name.lower().replace(" ", "_"), _names()
    if not place:
        return ()
    cities = [names[one] for one in names if one.rpartition("/")[2] == place or one == place]
    return cities or [names[one] for one in get_close_matches(place, names, n=1, cutoff=0.85)]


def _advice_on_offset(offset: re.Match[str]) -> str:
    sign, hours, minutes = offset[1], int(offset[2]), int(offset[3] or 0)
    if minutes:
        place = _PLACES_OF_OFFSETS.get(f"{sign}{hours:02}{minutes:02}")
        return f" Name a place{f', such as {place}' if place else ''}."
    place = " Name a place, whose clocks change as they do there."
    if hours > _MOST_HOURS[sign]:
        return place
    if not hours:
        return f"{place} For this offset, write UTC."
    reversed_sign = "-" if sign == "+" else "+"
    return (
        f"{place} For a fixed offset of {sign}{hours} hours, write Etc/GMT{reversed_sign}{hours}:"
        " its sign is reversed."
    )


@cache
def _names() -> Mapping[str, str]:
    listed = (files("tzdata") / "zones").read_text().split()
    return {one.lower(): one for one in listed if not _NOT_ZONES.fullmatch(one)}


@cache
def _windows_names() -> Mapping[str, Sequence[str]]:
    return {windows.lower(): (_NAMES_OF_TODAY.get(iana, iana),) for windows, iana in win_tz.items()}
