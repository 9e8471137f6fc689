"""iCalendar files are read as other programs read them, and hostile ones cost little."""

import random
import re
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any

import icalendar
import pytest
from dateutil.rrule import rrule, rruleset, rrulestr

from event_trigger.calendars.content import content_of_file
from event_trigger.calendars.ics.blocks import BadFile
from event_trigger.calendars.ics.events import read_file
from event_trigger.calendars.ics.expansion import MOST_DATES, Expansion, expand
from tests.support.calendars import ics_file

YEAR = 2026
CHRISTMAS = "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227"

OUTLOOK = "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE"


def read(*events: str, year: int = YEAR) -> Expansion:
    return expand(read_file(ics_file(*events)).events, year=year)


def dates_of(*events: str) -> list[str]:
    return [one.isoformat() for one in read(*events).dates]


@pytest.mark.parametrize(
    ("events", "dates"),
    [
        (["DTSTART;VALUE=DATE:20261225"], ["2026-12-25"]),
        (["DTSTART:20261225"], ["2026-12-25"]),
        (["dtstart;value=date:2026\r\n 1225"], ["2026-12-25"]),  # folded
        ([CHRISTMAS], ["2026-12-24", "2026-12-25", "2026-12-26"]),
        (["DTSTART;VALUE=DATE:20261231\r\nDURATION:P2D"], ["2026-12-31", "2027-01-01"]),
        (["DTSTART;VALUE=DATE:20270101\r\nDURATION:P1W"], [f"2027-01-0{n}" for n in range(1, 8)]),
        (["DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261225"], ["2026-12-25"]),
        (["DTSTART;VALUE=DATE:20261225\r\nSTATUS:CANCELLED"], []),
        (
            ["DTSTART;VALUE=DATE:20261225\r\nRDATE;VALUE=DATE:20270101"],
            ["2026-12-25", "2027-01-01"],
        ),
        (
            ["DTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=WEEKLY;COUNT=3\r\nEXDATE:20270101T000000"],
            ["2026-12-25", "2027-01-08"],
        ),
        (
            ["DTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=DAILY;UNTIL=20261226T230000Z"],
            ["2026-12-25", "2026-12-26"],
        ),
        (  # birthdays of some programs
            ["DTSTART;VALUE=DATE:16041224\r\nRRULE:FREQ=YEARLY;UNTIL=20271224"],
            ["2025-12-24", "2026-12-24", "2027-12-24"],
        ),
        (["DTSTART;VALUE=DATE:19550501", "DTSTART;VALUE=DATE:20261225"], ["2026-12-25"]),
        (["DTSTART;VALUE=DATE:19691231\r\nDURATION:P2D"], []),
        (  # as Outlook writes an event of two days
            [
                "DTSTART;TZID=Romance Standard Time:20261224T000000\r\n"
                "DTEND;TZID=Romance Standard Time:20261226T000000\r\n" + OUTLOOK
            ],
            ["2026-12-24", "2026-12-25"],
        ),
        (  # the second week is moved by a day
            [
                "UID:a\r\nDTSTART;VALUE=DATE:20261204\r\nRRULE:FREQ=WEEKLY;COUNT=3",
                "UID:a\r\nRECURRENCE-ID;VALUE=DATE:20261211\r\nDTSTART;VALUE=DATE:20261212",
            ],
            ["2026-12-04", "2026-12-12", "2026-12-18"],
        ),
        (  # what an alarm has is not the event's
            ["DTSTART:20261225\r\nBEGIN:VALARM\r\nDURATION:P9D\r\nEND:VALARM\r\nSUMMARY:x"],
            ["2026-12-25"],
        ),
        (["DTSTART:20200101", "DTSTART:20260101T090000Z"], ["2020-01-01"]),  # the other has a time
    ],
)
def test_all_day_events_are_dates(events: list[str], dates: list[str]) -> None:
    assert dates_of(*events) == dates


def test_a_file_without_an_end_is_read_for_twenty_years_and_one_with_an_end_wholly() -> None:
    goes_on = read("DTSTART;VALUE=DATE:19701224\r\nRRULE:FREQ=YEARLY")
    ends = read("DTSTART;VALUE=DATE:20261224\r\nRRULE:FREQ=YEARLY;COUNT=5")
    later = read("DTSTART;VALUE=DATE:19701224\r\nRRULE:FREQ=YEARLY", year=YEAR + 1)

    assert [goes_on.dates[0].year, goes_on.dates[-1].year] == [YEAR - 1, YEAR + 20]
    assert goes_on.covers_until == date(YEAR + 20, 12, 31)
    assert [len(ends.dates), ends.covers_until] == [5, None]
    assert [later.dates[0].year, later.covers_until] == [YEAR, date(YEAR + 21, 12, 31)]


def test_a_file_of_many_dates_covers_as_many_whole_years_as_fit() -> None:
    daily = read("DTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=DAILY")
    counted = read("DTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=DAILY;COUNT=3000")

    assert daily.covers_until == date(2030, 12, 31)
    assert len(daily.dates) == (date(2031, 1, 1) - date(2026, 1, 1)).days <= MOST_DATES
    assert counted == daily


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (CHRISTMAS, []),
        (f"{CHRISTMAS}\r\nRRULE:FREQ=YEARLY", []),
        (f"{CHRISTMAS}\r\nSTATUS:CANCELLED", ["leaves no date"]),
        ("DTSTART:20260101\r\nRRULE:FREQ=DAILY", ["those until 2030-12-31 are here"]),
    ],
)
def test_a_file_that_says_less_than_it_seems_is_warned_about(event: str, said: list[str]) -> None:
    content = content_of_file(ics_file(event), year=YEAR)

    assert len(content.warnings) == len(said)
    assert all(one in warning for one, warning in zip(said, content.warnings, strict=True))


def generated(seed: int) -> tuple[str, dict[str, Any]]:
    """Gives an event and the parts that `dateutil` needs."""
    choose = random.Random(seed)
    start = date(2020, 1, 1) + timedelta(days=choose.randrange(3000))
    parts = [f"FREQ={(frequency := choose.choice(['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY']))}"]
    if choose.random() < 0.5:
        parts.append(f"INTERVAL={choose.randint(1, 20)}")
    if frequency in {"MONTHLY", "YEARLY"} and choose.random() < 0.5:
        parts.append(choose.choice(["BYDAY=1MO", "BYDAY=-1FR", "BYDAY=MO,TU;BYSETPOS=2"]))
    if choose.random() < 0.3:
        parts.append(f"BYMONTH={choose.randint(1, 12)}")
    if choose.random() < 0.5:
        end = start + timedelta(days=choose.randrange(4000))
        parts.append(choose.choice([f"UNTIL={end:%Y%m%d}", f"COUNT={choose.randint(1, 60)}"]))
    days, rule = choose.randint(1, 4), ";".join(parts)
    excluded = [start + timedelta(days=choose.randrange(400)) for _ in range(3)]
    text = (
        f"DTSTART;VALUE=DATE:{start:%Y%m%d}\r\nDURATION:P{days}D\r\nRRULE:{rule}\r\n"
        f"EXDATE;VALUE=DATE:{','.join(f'{one:%Y%m%d}' for one in excluded)}"
    )
    return text, {"start": start, "rule": rule, "days": days, "excluded": excluded}


@pytest.mark.parametrize("seed", range(150))
def test_recurring_events_have_the_dates_that_dateutil_gives(seed: int) -> None:
    text, parts = generated(seed)
    judge = rruleset()
    midnight = datetime.combine(parts["start"], datetime.min.time())
    rule = rrulestr(parts["rule"], dtstart=midnight)
    assert isinstance(rule, rrule)
    judge.rrule(rule)
    for one in parts["excluded"]:
        judge.exdate(datetime.combine(one, datetime.min.time()))
    first, last = datetime(YEAR - 2, 1, 1), datetime(YEAR + 20, 12, 31)  # noqa: DTZ001
    starts = judge.between(first, last, inc=True)
    days = {one.date() + timedelta(days=n) for one in starts for n in range(parts["days"])}
    wanted = sorted(one for one in days if date(YEAR - 1, 1, 1) <= one <= last.date())

    if not judge.between(midnight, datetime(2400, 1, 1), inc=True):  # noqa: DTZ001
        return  # a rule that never matches is refused, which another test sees

    found = read(text)

    until = found.covers_until or last.date()
    assert [*found.dates] == [one for one in wanted if one <= until]
    assert len(found.dates) <= MOST_DATES


def test_a_file_of_another_program_is_read() -> None:
    made = icalendar.Calendar()
    made.add("version", "2.0")
    event = icalendar.Event()
    event.add("summary", "Ferien; mit Ümläuten, und einer sehr langen Zeile " * 5)
    event.add("dtstart", date(2026, 7, 30))
    event.add("dtend", date(2026, 8, 2))
    event.add("rrule", {"freq": "yearly", "count": 2})
    made.add_component(event)

    found = expand(read_file(made.to_ical().decode()).events, year=YEAR)

    year = ["07-30", "07-31", "08-01"]
    assert [f"{one:%m-%d}" for one in found.dates] == year * 2


REFUSED = [
    ("", "no all-day event"),
    ("hello", "Line 1: An iCalendar file begins with BEGIN:VCALENDAR."),
    ("BEGIN:VEVENT\nDTSTART:20260101\nEND:VEVENT\n", "begins with BEGIN:VCALENDAR"),
    ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101", "ends before END:VEVENT"),
    ("BEGIN:VCALENDAR\nEND:VEVENT\n", "Line 2: This END has no BEGIN"),
    (ics_file("DTSTART:20260101T090000Z"), "Events with times are not read"),
    (ics_file("SUMMARY:x"), "Line 3: The event has no DTSTART."),
    (ics_file("DTSTART:20260101", "DTSTART:20261301"), "Line 6: The DTSTART of the event cannot"),
    (ics_file("DTSTART:00010101"), "in the years 1583 to 9000"),
    (ics_file("DTSTART:20260102\r\nDTEND:20260101"), "must end after its start"),
    (ics_file("DTSTART:20260102\r\nDURATION:PT5H"), "last whole days"),
    (ics_file("DTSTART:20260102\r\nDURATION:P367D"), "lasts at most 366 days"),
    (ics_file("DTSTART:20260101\r\nDTSTART:20260102"), "more than one DTSTART"),
    (ics_file("DTSTART:20260101\r\nRRULE:FREQ=SOMETIMES"), "The RRULE of the event cannot be read"),
    (ics_file("DTSTART:20260101\r\nRRULE:FREQ=SECONDLY"), "Line 3: FREQ may be DAILY"),
    (ics_file("DTSTART:20260101\r\nRRULE:FREQ=DAILY;COUNT=0"), "COUNT must be from"),
    (ics_file("DTSTART:20260101\r\nRDATE;VALUE=PERIOD:20260101T000000Z/P1D"), "RDATE must be"),
    (
        ics_file("DTSTART:20260101\r\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260101"),
        "end the series with UNTIL",
    ),
    (ics_file("DTSTART:20260101\r\nRRULE:FREQ=DAILY\r\nEXRULE:FREQ=WEEKLY"), "EXRULE is not read"),
    (ics_file("DTSTART;TZID=X:20260101T090000\r\n" + OUTLOOK), "Events with times are not read"),
    (ics_file("DTSTART:20260101\r\nDURATION;VALUE=TEXT:P2D"), "The DURATION must be such as"),
    (ics_file("DTSTART:20260101\r\nDTEND;VALUE=URI:x:y"), "DTEND must be a date"),
    (ics_file("DTSTART:20260101\r\nRRULE;VALUE=TEXT:FREQ=DAILY"), "The RRULE must be such as"),
    ("BEGIN:VCALENDAR\n" * 5, "nested deeper"),
    (ics_file(*["DTSTART:20260101"] * 2001), "more than 2000 events"),
    (ics_file(*["DTSTART:20260101\r\nDURATION:P366D"] * 200), "at most 2000 dates"),
    (ics_file("DTSTART:20260101\r\nEXDATE:" + ",".join(["20260101"] * 9000)), "over 20000"),
    ("BEGIN:VCALENDAR\n" + "X" * 600_000, "at most 512 KiB"),
    (
        ics_file(
            *(
                f"DTSTART:1970{1 + one:02}01\r\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=999"
                for one in range(12)
            )
        ),
        "too many recurring events",
    ),
    (  # each is searched for 28 years, though it has ended
        ics_file(
            *(
                f"DTSTART:197203{1 + one:02}\r\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=TU;"
                "UNTIL=20240101"
                for one in range(12)
            )
        ),
        "they recur too seldom",
    ),
    (
        ics_file(
            *(
                f"DTSTART:202603{1 + one:02}\r\nDURATION:P366D\r\nRRULE:FREQ=DAILY;COUNT=9999"
                for one in range(2)
            )
        ),
        "too many recurring events",
    ),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_bad_file_is_refused_by_the_line_and_what_to_change(text: str, said: str) -> None:
    with pytest.raises(BadFile, match=re.escape(said)):
        expand(read_file(text).events, year=YEAR)


_NAMES = (
    "DTSTART",
    "DTEND",
    "DURATION",
    "RECURRENCE-ID",
    "RDATE",
    "EXDATE",
    "RRULE",
    "UID",
    "STATUS",
)
_KINDS = (
    *("", "BINARY", "BOOLEAN", "CAL-ADDRESS", "DATE", "DATE-TIME", "DURATION", "FLOAT", "INTEGER"),
    *("PERIOD", "RECUR", "TEXT", "TIME", "URI", "UTC-OFFSET", "UNKNOWN", "X-NEW"),
)
_VALUES = (
    *("20261224", "20261224T000000Z", "P1D", "-P1D", "P999999999D", "x", "AAAA", "FREQ=DAILY"),
    *("5", "1.5;2.5", "+0100", "TRUE", "20261224T000000Z/P1D", "20261224,20261225", "", ";"),
)


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("kind", _KINDS)
def test_a_value_of_another_kind_is_read_or_refused(name: str, kind: str) -> None:
    start = [] if name == "DTSTART" else ["DTSTART:20261201"]
    parameter = f";VALUE={kind}" if kind else ""

    for value in _VALUES:
        with suppress(BadFile):
            found = read("\r\n".join([*start, f"{name}{parameter}:{value}"]))

            assert [*found.dates] == sorted(set(found.dates))


@pytest.mark.parametrize("seed", range(100))
def test_a_damaged_file_is_read_or_refused(seed: int) -> None:
    choose = random.Random(seed)
    text = [*ics_file(CHRISTMAS + "\r\nRRULE:FREQ=YEARLY;BYDAY=2MO\r\nUID:a", CHRISTMAS)]
    for _ in range(choose.randint(1, 5)):
        place = choose.randrange(len(text))
        text[place] = choose.choice(["", "\0", "\r\n ", ";", ":", "9", "Ü", '"', "\ud800"])

    with suppress(BadFile):
        found = expand(read_file("".join(text)).events, year=YEAR)

        assert [*found.dates] == sorted(set(found.dates))
