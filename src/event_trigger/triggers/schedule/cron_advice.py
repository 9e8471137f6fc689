"""Recognises what is cron elsewhere and not here, and names the very thing to write instead."""

import re
from collections.abc import Callable, Mapping, Sequence

from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.foreign_lines import (
    BEFORE_LAST,
    advice_on_before_last,
    advice_on_hash,
    is_plain,
)
from event_trigger.triggers.schedule.interval import iso_duration, parse_interval
from event_trigger.triggers.schedule.walls.cron_fields import FIELDS
from event_trigger.triggers.schedule.zones import iana_name, is_zone

_EVERY = re.compile(r"@EVERY\b[\s_]*(.{0,40})")
_RATE = re.compile(r"RATE\(\s*(.{0,40}?)\s*\)")
_WRAPPED = re.compile(r"CRON\(([^()]*)\)")
_HASHED = re.compile(r"(?:^|\s)H(?:[(/]|\s|$)")
_SPACED = re.compile(r"(?<=\s)([0-9]{1,2}|[A-Z]{3})(\s+(?:W|L|#\s*[1-5])|#\s+[1-5])(?=\s|$)")
_DAY_ALONE = re.compile(r"^([1-9]|[12][0-9]|3[01])\s*W$|^W\s*([1-9]|[12][0-9]|3[01])$")
_TURNED = re.compile(r"^(\S+\s+\S+\s+)W([0-9]{1,2})(\s+\S+\s+\S+)$")
_CLOCK = re.compile(
    r"(?<![0-9:])([01]?[0-9]|2[0-3])(?::([0-5][0-9]))(?![0-9:])\s*([AP]M\b)?"
    r"|\b(1[0-2]|0?[1-9])\s*([AP]M)\b|\bAT\s+([01]?[0-9]|2[0-3])$"
)
_STEP_OF_SECONDS = re.compile(r"(?:\*|0)/([0-9]{1,2})")
_YEAR = re.compile(r"[*?]|(?:19|20)[0-9]{2}([-/,][0-9]{1,4})*")
_HALF_A_DAY = 12
_ANY_YEAR = frozenset("*?")
_INSTEAD_OF_CRON = "Leave out cron, and write"
_NAMES = {
    "@NOON": 'write "0 12 * * *".',
    "@WEEKDAYS": 'write "0 0 * * 1-5".',
    "@WEEKDAY": 'write "0 0 * * 1-5".',
    "@WEEKENDS": 'write "0 0 * * 0,6".',
    "@QUARTERLY": 'write "0 0 1 */3 *".',
    "@MINUTELY": 'write "* * * * *".',
    **{
        one: f'write "@{one.lower()}".'
        for one in ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY", "ANNUALLY", "MIDNIGHT")
    },
    "@BIWEEKLY": 'write an interval of "P2W", with time and timezone.',
    "@SECONDLY": 'leave out cron, and write "interval": "PT1S", "recurring": true.',
}


def advice_on(text: str) -> str | None:
    """Returns a sentence on a line in upper case that other systems read; None if it has no sign.

    It repeats only such fields of the line as have a few plain characters.
    """
    if advice := _NAMES.get(text):
        return f"cron has no such name: {advice}"
    for pattern, advise in _ADVICE.items():
        if (found := pattern.search(text)) and (advice := advise(found)):
            return advice
    fields = text.split()
    if len(fields) > len(FIELDS):
        return _on_more_fields(fields)
    return None


def _on_every(found: re.Match[str]) -> str:
    return _interval("cron has no @every.", iso_duration(found[1]))


def _on_rate(found: re.Match[str]) -> str:
    return _interval("cron has no rate().", iso_duration(found[1]))


def _on_words(found: re.Match[str]) -> str:
    duration = iso_duration(found[0])
    if duration is None:
        return five_fields()
    return _interval("cron has five fields.", duration)


def _interval(why: str, duration: str | None) -> str:
    if duration is None or not _is_interval(duration):
        return f"{why} {_INSTEAD_OF_CRON} an interval of 1 second to 10 years, such as PT5M."
    return f'{why} {_INSTEAD_OF_CRON} "interval": "{duration}", "recurring": true.'


def _is_interval(duration: str) -> bool:
    try:
        parse_interval(duration)
    except ScheduleError:
        return False
    return True


def _on_reboot(_: re.Match[str]) -> str:
    return (
        "cron has no @reboot: no machine of yours starts here. Make a trigger of the type api, and"
        " call it when yours has started."
    )


def _on_random(_: re.Match[str]) -> str:
    return 'cron has no ~. Write the first number, and add spread, such as "spread": "PT30M".'


def _on_spaced(found: re.Match[str]) -> str | None:
    joined = found[1] + "".join(found[2].split())
    line = _SPACED.sub(joined, found.string, count=1)
    if not is_plain(line):
        return None
    return f'Write {joined} without a space: "{line}".'


def _on_day_alone(found: re.Match[str]) -> str:
    day = found[1] or found[2]
    return f'Write "0 0 {day}W * *" for midnight of the weekday nearest to day {day}.'


def _on_turned(found: re.Match[str]) -> str | None:
    line = f"{found[1]}{found[2]}W{found[3]}"
    return f'Write W behind the day: "{line}".' if is_plain(line) else None


def _on_clock(found: re.Match[str]) -> str:
    """Advises on 9:30, 9AM, 9:30 PM, and a last AT 9."""
    hour, half = int(found[1] or found[4] or found[6]), found[3] or found[5]
    if half and hour <= _HALF_A_DAY:
        hour = hour % _HALF_A_DAY + (_HALF_A_DAY if half == "PM" else 0)
    line = f"{int(found[2] or 0)} {hour} * * *"
    fields = found.string.split()
    if len(fields) == len(FIELDS) and fields[1] == found[0] and not found[2]:
        line = " ".join([fields[0], str(hour), *fields[2:]])
        if is_plain(line):
            return f'Write {found[0]} as the hour {hour}: "{line}".'
        line = f"0 {hour} * * *"
    return f'Write {found[0]} as "{line}": the minute, the hour, and then the days.'


def _on_wrapped(found: re.Match[str]) -> str:
    fields = found[1].split()
    line = " ".join(_without_quartz_days(fields[:5]))
    if len(fields) != 6 or not is_plain(line):
        return f"Write the five fields alone, without cron() around them. {five_fields()}"
    advice = f'Leave out cron() and the year: "{line}".'
    if line != " ".join(fields[:5]):
        advice += " Its weekdays count Sunday as 1, here as 0."
    return f"{advice}{_on_year(fields[5])}"


def _on_last_day(_: re.Match[str]) -> str:
    return (
        "L alone stands in the day-of-month field, for the last day. For the last Friday, write 5L"
        " in the day-of-week field; for Saturdays, 6."
    )


def _on_rule(_: re.Match[str]) -> str:
    return "This is a recurrence rule: leave out cron, and write it as rrule, with time."


def _on_duration(_: re.Match[str]) -> str:
    return "This is a duration: leave out cron, and write it as interval, with recurring: true."


def _on_instant(_: re.Match[str]) -> str:
    return "This is an instant: leave out cron, and write it as time."


def _on_more_fields(fields: Sequence[str]) -> str:
    """Takes fields for seconds first, a year or a zone last, seconds and a year; or a command."""
    if len(fields) == 7 and _YEAR.fullmatch(fields[6]) and is_plain(" ".join(fields[1:6])):
        seconds = _on_seconds(fields[:6], "the seconds and year")
        return f"cron has five fields: leave out {seconds}{_on_year(fields[6])}"
    if len(fields) == 6 and (advice := _on_sixth(fields) or _on_zone(fields)):
        return advice
    line = " ".join(fields[:5])
    if is_plain(line):
        return f'Write the five fields alone, without a user or a command: "{line}".'
    return f"{five_fields()} For seconds, write an interval, such as PT10S."


def _on_sixth(fields: Sequence[str]) -> str | None:
    line = " ".join(fields[:5])
    has_year = bool(_YEAR.fullmatch(fields[5])) and is_plain(line)
    has_seconds = is_plain(" ".join(fields[1:]))
    if has_year and (not has_seconds or fields[5].isdigit()):
        return f'cron has five fields: leave out the year: "{line}".{_on_year(fields[5])}'
    if not has_seconds:
        return None
    if (step := _seconds(fields[0])) and set(fields[1:]) <= {"*", "?"}:
        return _interval("cron has five fields, and no seconds.", f"PT{step}S")
    advice = f"cron has five fields: leave out {_on_seconds(fields, 'the seconds')}"
    if has_year and "?" not in fields[5]:
        advice += f' If its last field is the year, write "{line}".'
    return advice


def _on_zone(fields: Sequence[str]) -> str | None:
    line, zone = " ".join(fields[:5]), iana_name(fields[5])
    if not (is_plain(line) and is_zone(zone)):
        return None
    return f'Write the five fields alone, "{line}", and the zone as "timezone": "{zone}".'


def _on_year(field: str) -> str:
    if field in _ANY_YEAR:
        return ""
    return " That fires in each year: set from and until to the bounds of the years that you mean."


def _on_seconds(fields: Sequence[str], left_out: str) -> str:
    line = " ".join(fields[1:])
    advice = f'{left_out}: "{line}".'
    shifted = " ".join(_without_quartz_days(fields[1:]))
    if "?" in fields and shifted != line:
        advice += f' If it is from Quartz, whose weekdays count Sunday as 1, write "{shifted}".'
    if fields[0].strip("0"):
        advice += " It fires at second 0 of its minutes."
    return advice


def _seconds(field: str) -> int:
    """Returns the step of a field of seconds, 0 if it has none."""
    found = _STEP_OF_SECONDS.fullmatch(field)
    return int(found[1]) if found else int(field == "*")


def _without_quartz_days(fields: Sequence[str]) -> list[str]:
    """Renumbers weekdays from Quartz's (Sunday is 1) to cron's (Sunday is 0)."""

    def renumbered(found: re.Match[str]) -> str:
        return str((int(found[0]) - 1) % 7)

    *others, weekdays = fields or [""]
    # a place after # and a step after / are no weekdays
    return [*others, re.sub(r"(?<![#/0-9])[1-7](?![0-9])", renumbered, weekdays)]


def five_fields() -> str:
    names = ", ".join(one.name for one in FIELDS)
    return (
        f'cron must have five fields: {names}, such as "0 9 * * 1-5" for 09:00 on Monday to Friday.'
    )


_ADVICE: Mapping[re.Pattern[str], Callable[[re.Match[str]], str | None]] = {
    _EVERY: _on_every,
    _RATE: _on_rate,
    re.compile(r"^@REBOOT\b"): _on_reboot,
    _WRAPPED: _on_wrapped,
    re.compile(r"\bFREQ="): _on_rule,
    re.compile(r"^P(?:T?[0-9.]+[YMWDHS])+$"): _on_duration,
    re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T\s]|$)"): _on_instant,
    _DAY_ALONE: _on_day_alone,
    _CLOCK: _on_clock,
    re.compile(r"^(?:EVERY\b.*|[0-9]+\s*[A-Z]+)$"): _on_words,
    _SPACED: _on_spaced,
    _HASHED: advice_on_hash,
    re.compile(r"[0-9]~[0-9]|^~|\s~"): _on_random,
    re.compile(r"^(?:\S+\s+){4}L$"): _on_last_day,
    BEFORE_LAST: advice_on_before_last,
    _TURNED: _on_turned,
}
