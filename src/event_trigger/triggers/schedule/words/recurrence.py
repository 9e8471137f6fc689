"""Describes recurrence rules."""

from calendar import monthrange
from collections.abc import Iterator

from event_trigger.triggers.schedule.walls.recurrence import Frequency, Recurrence
from event_trigger.triggers.schedule.words.language import (
    DAYS,
    MONTHS,
    SHORTEST_MONTH,
    clock_time,
    counted,
    listed,
    month_runs,
    ordinal,
    runs,
    weekday_runs,
)

_UNITS = {
    Frequency.DAILY: "day",
    Frequency.WEEKLY: "week",
    Frequency.MONTHLY: "month",
    Frequency.YEARLY: "year",
}
_LEAP_YEAR = 2000
_MOST_TIMES = 6
_MOST_DATES = 4
_GROUPS = {  # of weekdays, from which BYSETPOS often chooses
    frozenset(range(7)): "day",
    frozenset(range(5)): "weekday",
    frozenset({5, 6}): "day of a weekend",
    **{frozenset({one}): name for one, name in enumerate(DAYS)},
}


def recurrence_words(rule: Recurrence) -> str:
    """Writes a sentence, such as "Every 2 weeks on Monday at 09:00, starting 2026-03-02"."""
    chosen = _chosen_days(rule)
    every = f"Every {counted(rule.interval, _UNITS[rule.frequency])}"
    sentence = " ".join(filter(None, (every, chosen or _days(rule), _times(rule))))
    return ", ".join([sentence, *_limits(rule, is_chosen=bool(chosen)), *_ends(rule)])


def _days(rule: Recurrence) -> str:
    """Describes the days of a period; nothing if they are limits of a daily rule."""
    match rule.frequency:
        case Frequency.DAILY:
            return ""
        case Frequency.WEEKLY:
            return f"on {listed(weekday_runs(sorted(day for day, _ in rule.weekdays)))}"
        case _:
            return f"on {_month_days(rule) or _weekdays(rule)}"


def _limits(rule: Recurrence, *, is_chosen: bool) -> Iterator[str]:
    if rule.frequency is Frequency.DAILY:
        if rule.month_days:
            yield f"only on {_month_days(rule)}"
        if rule.weekdays:
            yield f"only on {listed(weekday_runs(sorted(day for day, _ in rule.weekdays)))}"
    elif rule.month_days and rule.weekdays:
        yield f"if that is {_a(_weekdays(rule, 'or'))}"
    if rule.months and rule.frequency is not Frequency.YEARLY:
        yield f"only in {month_runs(rule.months)}"
    if rule.positions and not is_chosen:
        places = listed(map(ordinal, rule.positions))
        yield f"only the {places} such time of the {_UNITS[rule.frequency]}"


def _ends(rule: Recurrence) -> Iterator[str]:
    yield f"starting {rule.start:%Y-%m-%d}"
    if rule.number is not None:
        yield "once" if rule.number == 1 else f"{rule.number} times"
    if rule.until is not None:
        is_whole_day = (rule.until.hour, rule.until.minute, rule.until.second) == (23, 59, 59)
        time = "" if is_whole_day else f" {clock_time(rule.until)}"
        yield f"until {rule.until:%Y-%m-%d}{time}"


def _chosen_days(rule: Recurrence) -> str:
    """Says which days BYSETPOS chooses, such as "on the last weekday"; else nothing."""
    group = _GROUPS.get(frozenset(day for day, _ in rule.weekdays))
    is_plain = len(rule.times) == 1 and not rule.month_days and group is not None
    in_period = rule.frequency is Frequency.MONTHLY or len(rule.months) == 1
    if not (rule.positions and is_plain and in_period) or any(p for _, p in rule.weekdays):
        return ""
    if rule.frequency not in {Frequency.MONTHLY, Frequency.YEARLY}:
        return ""
    return f"on the {listed(map(ordinal, rule.positions))} {group} of {_period(rule)}"


def _month_days(rule: Recurrence) -> str:
    if not rule.month_days:
        return ""
    days = sorted(one for one in rule.month_days if one > 0)
    from_end = sorted((one for one in rule.month_days if one < 0), reverse=True)
    parts = []
    dates = [
        (month, day)
        for month in sorted(rule.months)
        for day in days
        if day <= monthrange(_LEAP_YEAR, month)[1]
    ]
    if rule.frequency is Frequency.YEARLY and not from_end and 0 < len(dates) <= _MOST_DATES:
        words = listed(f"{MONTHS[month - 1]} {day}" for month, day in dates)
        return f"{words}, in leap years," if dates == [(2, 29)] else words
    if days:
        named = listed(runs(days, [str(one) for one in range(32)]))
        parts.append(f"day{'s' if len(days) > 1 else ''} {named}")
    if from_end:
        parts.append(f"the {listed(map(ordinal, from_end))} day{'s' if len(from_end) > 1 else ''}")
    is_short = days and days[0] > SHORTEST_MONTH and not from_end
    short = f", in months that have {'them' if len(days) > 1 else 'it'}," if is_short else ""
    return f"{listed(parts)} of {_period(rule, each='every month')}{short}"


def _weekdays(rule: Recurrence, word: str = "and") -> str:
    plain = sorted(day for day, place in rule.weekdays if not place)
    placed = sorted(((place, day) for day, place in rule.weekdays if place), key=_from_first)
    parts = []
    if plain and rule.month_days:
        parts += [DAYS[one] for one in plain]
    elif plain:
        parts.append(f"each {listed([DAYS[one] for one in plain])}")
    parts += [f"the {ordinal(place)} {DAYS[day]}" for place, day in placed]
    words = listed(parts, word)
    return words if rule.month_days and not placed else f"{words} of {_period(rule)}"


def _period(rule: Recurrence, *, each: str = "the year") -> str:
    """Names the part of the calendar in which days are counted."""
    if rule.frequency is not Frequency.YEARLY:
        return "the month"
    return month_runs(rule.months) if rule.months else each


def _a(days: str) -> str:
    return days if days.startswith("the ") else f"a {days}"


def _from_first(one: tuple[int, int]) -> tuple[bool, int, int]:
    place, day = one
    return place < 0, abs(place), day


def _times(rule: Recurrence) -> str:
    if len(rule.times) > _MOST_TIMES:
        first, last = _time(rule.times[0]), _time(rule.times[-1])
        return f"at {len(rule.times)} times from {first} to {last}"
    return f"at {listed(map(_time, rule.times))}"


def _time(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")
