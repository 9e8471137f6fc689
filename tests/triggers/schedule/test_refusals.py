"""A refusal of details names the very thing to write instead, and that is right."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_trigger.triggers.schedule.describe import describe
from event_trigger.triggers.schedule.details import schedule_from
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.schedules import (
    Schedule,
    instants_in,
    latest_fire_in,
    next_fire_at_or_after,
)
from event_trigger.triggers.schedule.spread import check_spread
from tests.support.steps import steps_of

ANCHOR = datetime(2026, 3, 13, 10, tzinfo=UTC)
LOCAL = "2026-03-31T09:00:00"

_FIVE = "cron has five fields:"
_EACH_YEAR = "That fires in each year: set from and until to the bounds of the years that you mean."
_INSTEAD = "Leave out cron, and write"
_RECURRING = ', "recurring": true.'
_SOME_INTERVAL = "an interval of 1 second to 10 years, such as PT5M."
_NAMES = "cron has English names of three letters: write"
_ZONE = "timezone must be a name in the IANA database, such as Europe/Berlin or UTC."

CRON = {
    # other systems
    "0 30 9 * * ?": f'{_FIVE} leave out the seconds: "30 9 * * ?".',
    "0 30 9 ? * MON-FRI *": f'{_FIVE} leave out the seconds and year: "30 9 ? * MON-FRI".',
    "0 30 9 ? * 2-6": (
        f'{_FIVE} leave out the seconds: "30 9 ? * 2-6". If it is from Quartz, whose weekdays count'
        ' Sunday as 1, write "30 9 ? * 1-5".'
    ),
    "0 */5 * * * *": (
        f'{_FIVE} leave out the seconds: "*/5 * * * *". If its last field is the year, write'
        ' "0 */5 * * *".'
    ),
    "30 9 1 1 ? 2026": f'{_FIVE} leave out the year: "30 9 1 1 ?". {_EACH_YEAR}',
    "30 0 12 * * ?": (
        f'{_FIVE} leave out the seconds: "0 12 * * ?". It fires at second 0 of its minutes.'
    ),
    "CRON_TZ=UTC 0 9 * * * *": (
        f'{_FIVE} leave out the seconds: "9 * * * *". If its last field is the year, write'
        ' "0 9 * * *". Keep its CRON_TZ in front, or write that as timezone.'
    ),
    "0 9 * * MON-FRI Europe/Berlin": (
        'Write the five fields alone, "0 9 * * MON-FRI", and the zone as "timezone":'
        ' "Europe/Berlin".'
    ),
    "*/10 * * * * *": (
        f'cron has five fields, and no seconds. {_INSTEAD} "interval": "PT10S"{_RECURRING}'
    ),
    "* * * * * *": (
        f'cron has five fields, and no seconds. {_INSTEAD} "interval": "PT1S"{_RECURRING}'
    ),
    "@every 5m": f'cron has no @every. {_INSTEAD} "interval": "PT5M"{_RECURRING}',
    "@every 1h30m": f'cron has no @every. {_INSTEAD} "interval": "PT1H30M"{_RECURRING}',
    "@every 1.5h": f'cron has no @every. {_INSTEAD} "interval": "PT1.5H"{_RECURRING}',
    "@reboot": (
        "cron has no @reboot: no machine of yours starts here. Make a trigger of the type api, and"
        " call it when yours has started."
    ),
    "@noon": 'cron has no such name: write "0 12 * * *".',
    "@weekdays": 'cron has no such name: write "0 0 * * 1-5".',
    "H H * * *": (
        'cron has no H. Write "0 0 * * *", and add "spread": "PT23H": it moves each trigger by a'
        " constant of its own."
    ),
    "H/7 * * * *": (
        'cron has no H. Write "*/7 * * * *", and add "spread": "PT4M": it moves each trigger by a'
        " constant of its own."
    ),
    "H(1-5) 3 * * *": (
        'cron has no H. Write "1 3 * * *", and add "spread": "PT5M": it moves each trigger by a'
        " constant of its own."
    ),
    "H/15 * * * 1-5": (
        'cron has no H. Write "*/15 * * * 1-5", and add "spread": "PT15M": it moves each trigger by'
        " a constant of its own."
    ),
    "0~30 9 * * *": (
        'cron has no ~. Write the first number, and add spread, such as "spread": "PT30M".'
    ),
    "@every 500ms": f"cron has no @every. {_INSTEAD} {_SOME_INTERVAL}",
    "@every 0.5s": f"cron has no @every. {_INSTEAD} {_SOME_INTERVAL}",
    "rate(0 days)": f"cron has no rate(). {_INSTEAD} {_SOME_INTERVAL}",
    "daily": 'cron has no such name: write "@daily".',
    "rate(5 minutes)": f'cron has no rate(). {_INSTEAD} "interval": "PT5M"{_RECURRING}',
    "rate(1 day)": f'cron has no rate(). {_INSTEAD} "interval": "P1D"{_RECURRING}',
    "cron(0 12 ? * 2-6 *)": (
        'Leave out cron() and the year: "0 12 ? * 1-5". Its weekdays count Sunday as 1, here as 0.'
    ),
    "cron(0 12 * * ? *)": 'Leave out cron() and the year: "0 12 * * ?".',
    "0 9 * * 1-5 /usr/bin/backup": (
        'Write the five fields alone, without a user or a command: "0 9 * * 1-5".'
    ),
    # other kinds of schedules
    "every 5 minutes": f'cron has five fields. {_INSTEAD} "interval": "PT5M"{_RECURRING}',
    "FREQ=DAILY": "This is a recurrence rule: leave out cron, and write it as rrule, with time.",
    "PT5M": "This is a duration: leave out cron, and write it as interval, with recurring: true.",
    "2026-04-01T09:00:00Z": "This is an instant: leave out cron, and write it as time.",
    "09:30": 'Write 09:30 as "30 9 * * *": the minute, the hour, and then the days.',
    "0 9": (
        "cron must have five fields: minute, hour, day-of-month, month, day-of-week, such as"
        ' "0 9 * * 1-5" for 09:00 on Monday to Friday.'
    ),
    # a field
    "0 0 15 W * *": 'Write 15W without a space: "0 0 15W * *".',
    "0 0 * * 5 L": 'Write 5L without a space: "0 0 * * 5L".',
    "0 0 L-3 * *": (
        f'cron has no L-3. {_INSTEAD} "rrule": "FREQ=MONTHLY;BYMONTHDAY=-4;BYHOUR=0;BYMINUTE=0",'
        " with time, from which on it fires, and timezone."
    ),
    "5 9,17 L-30 1,3 *": (
        f'cron has no L-30. {_INSTEAD} "rrule":'
        ' "FREQ=MONTHLY;BYMONTHDAY=-31;BYMONTH=1,3;BYHOUR=9,17;BYMINUTE=5",'
        " with time, from which on it fires, and timezone."
    ),
    "0 0 L-40 * *": (
        "The day-of-month field of cron must be *, or a list of numbers and ranges within 1-31,"
        " with steps of at least 1 such as */2, L, LW or 15W."
    ),
    "0 0 W15 * *": 'Write W behind the day: "0 0 15W * *".',
    "15 W": 'Write "0 0 15W * *" for midnight of the weekday nearest to day 15.',
    "0 0 * * 1 # 2": 'Write 1#2 without a space: "0 0 * * 1#2".',
    "0 9am * * 1-5": 'Write 9AM as the hour 9: "0 9 * * 1-5".',
    "every day at 9": 'Write AT 9 as "0 9 * * *": the minute, the hour, and then the days.',
    "9:30 pm": 'Write 9:30 PM as "30 21 * * *": the minute, the hour, and then the days.',
    "? 0 * * *": ("The minute field of cron takes no ?, which stands in a day field: write *."),
    "0 9 * * *\n": (
        "cron has a line break: leave it out, and write several lines as a list of them."
    ),
    "30 0 */26 * TUE#5": (
        "cron can never fire: no day matches both of its day fields. Leave one of them *."
    ),
    "0 9 * * L": (
        "L alone stands in the day-of-month field, for the last day. For the last Friday, write 5L"
        " in the day-of-week field; for Saturdays, 6."
    ),
    "0 9 * * MON#6": (
        "The day-of-week field of cron may name the first to the fifth, #1 to #5: write MONL for"
        " last."
    ),
    "*/0 * * * *": (
        "The minute field of cron has a step of 0: write * for each, or a step of at least 1."
    ),
    "60 * * * *": "The minute field of cron takes 0-59: for the full hour, write 0.",
    "0 24 * * *": "The hour field of cron takes 0-23: for midnight, write 0.",
    "0 0 0 * *": "The day-of-month field of cron takes 1-31: 1 is the first day, and L the last.",
    "0 0 * * 8": (
        "The day-of-week field of cron takes 0-7 or SUN-SAT: 0 and 7 are Sunday, 1 is Monday."
    ),
    "1,2, * * * *": (
        "The minute field of cron has a comma too many: write numbers with one comma between two."
    ),
    "0 9 * * Monday-Friday": f"The day-of-week field of {_NAMES} MON-FRI.",
    "0 9 * * Mo-Fr": f"The day-of-week field of {_NAMES} MON-FRI.",
    "0 9 * * LUN,MER": f"The day-of-week field of {_NAMES} MON,WED.",
    "0 0 1 January *": f"The month field of {_NAMES} JAN.",
    "0 0 1 OKT-DEZ *": f"The month field of {_NAMES} OCT-DEC.",
    "0 0 1 märz *": (
        "cron must be plain ASCII characters, its fields separated by spaces or tabs, its ranges by"
        " -, and its names English, such as MON and JAN."
    ),
    "0 0 31 2,4 *": (
        "cron can never fire: its months do not have that day. Name one that they have."
    ),
}
ZONES = {
    "PST": f"{_ZONE} This may mean America/Los_Angeles or Asia/Manila.",
    "Pacific Standard Time": f"{_ZONE} This may mean America/Los_Angeles.",
    "W. Europe Standard Time": f"{_ZONE} This may mean Europe/Berlin.",
    "New York": f"{_ZONE} This may mean America/New_York.",
    "Berlin": f"{_ZONE} This may mean Europe/Berlin.",
    "Europe/Berln": f"{_ZONE} This may mean Europe/Berlin.",
    "UTC+2": (
        f"{_ZONE} Name a place, whose clocks change as they do there. For a fixed offset of +2"
        " hours, write Etc/GMT-2: its sign is reversed."
    ),
    "-05:00": (
        f"{_ZONE} Name a place, whose clocks change as they do there. For a fixed offset of -5"
        " hours, write Etc/GMT+5: its sign is reversed."
    ),
    "+05:30": f"{_ZONE} Name a place, such as Asia/Kolkata.",
    "MESZ": f"{_ZONE} This may mean Europe/Berlin.",
    "IST": f"{_ZONE} This may mean Asia/Kolkata, Europe/Dublin or Asia/Jerusalem.",
    "India Standard Time": f"{_ZONE} This may mean Asia/Kolkata.",
    "Factory": _ZONE,
    "Mars/Olympus": _ZONE,
}
OTHERS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"time": LOCAL},
        "time",
        "time has no offset: add one, such as the Z of 2030-01-31T09:00:00Z, or add timezone, such"
        " as Europe/Berlin, to make it a local time.",
    ),
    (
        {"time": "2026-03-31"},
        "time",
        "time has a date and a time of day: write 2030-01-31T09:00:00Z or, with timezone, a local"
        " time such as 2030-01-31T09:00:00.",
    ),
    (
        {"interval": "1h 30m"},
        "interval",
        "interval must be minutes as a number, or an ISO 8601 duration such as PT90S: write"
        " PT1H30M.",
    ),
    (
        {"interval": "30"},
        "interval",
        "interval must be minutes as a number, or an ISO 8601 duration such as PT90S: write"
        " 30 without quotes, for minutes.",
    ),
    (
        {"interval": " pt5m"},
        "interval",
        "interval must be minutes as a number, or an ISO 8601 duration such as PT90S: write PT5M.",
    ),
    (
        {"interval": "p1m"},
        "interval",
        "interval must be minutes as a number, or an ISO 8601 duration such as PT90S: write P1M,"
        " with time and timezone.",
    ),
    (
        {"interval": "0.5 seconds"},
        "interval",
        "interval must be minutes as a number, or an ISO 8601 duration such as PT90S.",
    ),
    (
        {"cron": "@daily", "spread": "PT0S"},
        "spread",
        "spread must be at least 1 second and at most a day.",
    ),
    (
        {"interval": "P1M", "recurring": True},
        "interval",
        "An interval of months or years needs time and timezone, which say when it begins and in"
        " which calendar.",
    ),
    (
        {"interval": "P1D", "timezone": "UTC", "recurring": True},
        "timezone",
        "timezone needs a cron, or time: a local time, such as 2030-01-31T09:00:00, from which"
        " days, weeks, months or years are counted. For minutes and hours, leave timezone out.",
    ),
    (
        {"time": LOCAL, "interval": "PT30M", "timezone": "UTC", "recurring": True},
        "interval",
        "An interval with a timezone counts either days and weeks, or months and years, such as"
        " P1D, P2W, P1M or P1Y. Minutes and hours are elapsed time: leave timezone out for them.",
    ),
    (
        {"cron": "@daily", "rrule": "FREQ=DAILY"},
        "cron",
        "cron stands alone. Write one of cron, rrule, and interval or time: leave out the others.",
    ),
    (
        {"cron": ["CRON_TZ=UTC 0 9 * * *", "CRON_TZ=Asia/Tokyo 0 9 * * *"]},
        "timezone",
        "All lines of cron have one zone. Write it as timezone, and leave CRON_TZ out.",
    ),
    ({"cron": ["@daily"] * 21}, "cron", "cron must be a line, or a list of 1 to 20 lines."),
    ({"rrule": "FREQ=DAILY"}, "rrule", "rrule needs time, which is its DTSTART."),
    (
        {"rrule": "FREQ=HOURLY", "time": LOCAL},
        "rrule",
        "FREQ may be DAILY, WEEKLY, MONTHLY or YEARLY. For less, write an interval, such as PT1H,"
        " instead of rrule.",
    ),
    (
        {"rrule": "FREQ=DAILY;INTERVAL=1000000", "time": LOCAL},
        "rrule",
        "INTERVAL must be from 1 to 1000.",
    ),
    (
        {"rrule": "DTSTART:20260331T090000\nRRULE:FREQ=DAILY", "time": LOCAL},
        "rrule",
        "Write the RRULE alone: its DTSTART is time, and its EXDATEs are except.",
    ),
    (
        {"rrule": "0 9 * * *", "time": LOCAL},
        "rrule",
        "rrule is a rule such as FREQ=WEEKLY;BYDAY=MO. Write a line of cron as cron.",
    ),
    (
        {"rrule": "FREQ=DAILY;UNTIL=2026-12-31", "time": LOCAL},
        "rrule",
        "UNTIL has no dashes and colons: write 20301231 or 20301231T090000Z.",
    ),
    (
        {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "time": LOCAL},
        "rrule",
        "rrule never matches in 50 years: no month has such a day, BYSETPOS is beyond the days and"
        " times of a period, or UNTIL is before time.",
    ),
    (
        {"cron": "@daily", "from": "2027-01-02T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
        "until",
        "until is before from: write a later until.",
    ),
    (
        {"cron": "@daily", "except": ["25.12.2026"]},
        "except",
        'except has dates such as "2026-12-25", and calendars such as {"calendar": "key"}.',
    ),
    (
        {"cron": "*/5 * * * *", "spread": "PT10M"},
        "spread",
        "spread must be at most 5 minutes, the shortest distance of two instants, so that none"
        " overtakes the next one.",
    ),
    (
        {"cron": "0 9 * * 1", "spread": "P2D"},
        "spread",
        "spread must be at most a day.",
    ),
    *(
        (
            {"rrule": f"FREQ=MONTHLY;BYDAY={zero}MO", "time": LOCAL},
            "rrule",
            "BYDAY must be days of two letters, such as MO,WE or, in a month or a year, 1MO,-1FR.",
        )
        for zero in ("0", "00", "+0", "-0")
    ),
    (
        {"time": f"{LOCAL}Z", "spread": "PT10M"},
        "spread",
        "spread applies to recurring schedules only: set recurring to true, or leave spread out.",
    ),
]
TABLE = [
    *(({"cron": line}, "cron", sentence) for line, sentence in CRON.items()),
    *(({"cron": "@daily", "timezone": zone}, "timezone", text) for zone, text in ZONES.items()),
    *OTHERS,
]


def refusal_of(details: dict[str, Any]) -> ScheduleError:
    with pytest.raises(ScheduleError) as refusal:
        read_new(details)
    return refusal.value


def read_new(details: dict[str, Any]) -> None:
    """Reads details as those of a new trigger are read."""
    schedule_from(details, anchor=ANCHOR)
    check_spread(details, anchor=ANCHOR)


@pytest.mark.parametrize(("details", "field", "sentence"), TABLE)
def test_a_refusal_names_what_to_write_instead(
    details: dict[str, Any], field: str, sentence: str
) -> None:
    refusal = refusal_of(details)

    assert (refusal.field, refusal.message) == (field, sentence)


QUOTED_LINE = re.compile(r'"([^" ]+(?: [^" ]+){4})"')
QUOTED_MEMBER = re.compile(r'"(interval|rrule|spread|timezone)": "([^"]+)"')
SPELT_INTERVAL = re.compile(r"write (P[0-9A-Z.]+)\.$")
ZONE_MEANT = re.compile(r"\b[A-Z][A-Za-z]+/[A-Za-z_/]+(?:[+-][0-9]+)?\b")
DST = "Europe/Berlin"


@pytest.mark.parametrize(("details", "_field", "sentence"), TABLE)
def test_what_a_refusal_advises_is_right(
    details: dict[str, Any], _field: str, sentence: str
) -> None:
    lines, members = QUOTED_LINE.findall(sentence), dict(QUOTED_MEMBER.findall(sentence))
    advised: list[dict[str, Any]] = [{"cron": one, "timezone": DST} for one in lines]
    if "spread" in members:
        advised = [one | {"spread": members["spread"]} for one in advised]
    if "timezone" in members:
        advised = [one | {"timezone": members["timezone"]} for one in advised]
    if "interval" in members:
        advised.append({"interval": members["interval"], "recurring": True})
    if "rrule" in members:
        advised.append({"rrule": members["rrule"], "time": LOCAL, "timezone": DST})
    if "timezone" in details and "cron" in details:
        advised += [{"cron": "@daily", "timezone": one} for one in ZONE_MEANT.findall(sentence)]
    advised += [{"interval": one, "recurring": True} for one in SPELT_INTERVAL.findall(sentence)]

    for one in advised:
        read_new(one)


@pytest.mark.parametrize(
    ("refused", "same"),
    [
        ("0 0 L-3 * *", ["0 0 28 1,3 *", "0 0 25 2 *"]),
        ("5 9,17 L-30 1,3 *", ["5 9,17 1 1,3 *"]),
        ("0 0 * * 1 # 2", ["0 0 11 1 *", "0 0 8 2,3 *"]),
        ("15 W", ["0 0 15 * *"]),
        ("9:30 pm", ["30 21 * * *"]),
        ("0 9am * * 1-5", ["0 9 * * MON-FRI"]),
        ("@weekdays", ["0 0 * * MON-FRI"]),
        ("cron(0 12 ? * 2-6 *)", ["0 12 * * MON-FRI"]),
        ("0 30 9 ? * MON-FRI *", ["30 9 * * MON-FRI"]),
    ],
)
def test_what_a_refusal_advises_fires_as_was_meant(refused: str, same: list[str]) -> None:
    sentence = refusal_of({"cron": refused}).message
    rule = dict(QUOTED_MEMBER.findall(sentence)).get("rrule")
    advised = (
        {"cron": QUOTED_LINE.findall(sentence)[0], "timezone": DST}
        if rule is None
        else {"rrule": rule, "time": "2026-12-31T00:00:00", "timezone": DST}
    )

    assert in_a_quarter(advised) == in_a_quarter({"cron": same, "timezone": DST})


def in_a_quarter(details: dict[str, Any]) -> list[datetime]:
    schedule = schedule_from(details, anchor=ANCHOR)
    since, until = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 3, 31, tzinfo=UTC)
    found = [*instants_in(schedule, since=since, until=until)]
    assert found
    return found


plain = st.text("0123456789*/-,LW#?@~: SUNJANMFRIHPT.()=;\t", max_size=60)
texts = st.text(max_size=60) | plain
words = st.sampled_from(
    [
        *("FREQ=DAILY", "FREQ=MONTHLY", "FREQ=YEARLY", "COUNT=3", "UNTIL=20300101"),
        *("BYDAY=-1FR,MO", "BYDAY=53SU", "BYSETPOS=-1,2", "BYHOUR=0,23", "BYMONTHDAY=31"),
        *("BYMONTH=2", "INTERVAL=999"),
    ]
)
times = st.sampled_from((LOCAL, f"{LOCAL}Z", "8999-12-31T23:00", "1970-01-01T00:00"))
anything = st.fixed_dictionaries(
    {},
    optional={
        "cron": texts | st.lists(texts, max_size=22),
        "rrule": texts | st.lists(words | plain, min_size=1, max_size=4).map(";".join),
        "time": texts | times,
        "interval": texts | st.integers() | st.floats() | st.sampled_from(("P1M", "P9Y", "P1D")),
        "recurring": st.booleans(),
        "timezone": texts | st.sampled_from(("UTC", "europe/berlin", "Antarctica/Troll")),
        "month_end": st.sampled_from(("last", "skip")),
        "from": texts | st.just(f"{LOCAL}Z"),
        "until": texts | st.just(f"{LOCAL}Z"),
        "except": st.lists(texts | st.just("2026-12-25"), max_size=3),
        "spread": texts | st.just("PT1H"),
    },
)


@settings(max_examples=200)
@given(details=anything)
def test_details_make_a_schedule_or_are_refused(details: dict[str, Any]) -> None:
    try:
        schedule = schedule_from(details, anchor=ANCHOR)
    except ScheduleError as refusal:
        length = len(refusal.message)
    else:
        next_fire_at_or_after(schedule, ANCHOR)
        length = len(describe(schedule))
    assert 0 < length < 1000


MANY_NEAREST = ",".join(["LW", *(f"{one}W" for one in range(1, 26))])
NEVER = [f"{one} 0 {MANY_NEAREST} * */7" for one in range(20)]  # a weekday that is a Sunday
ALL_DAYS = "BYDAY=MO,TU,WE,TH,FR,SA,SU"
ALL_HOURS = f"BYHOUR={','.join(map(str, range(24)))}"
ALL_MINUTES = f"BYMINUTE={','.join(map(str, range(60)))}"
MANY_POSITIONS = f"BYSETPOS={','.join(map(str, range(1, 180)))}"
HOSTILE_RULES = [
    *(f"FREQ={one};INTERVAL=1000;COUNT=10000" for one in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")),
    *(f"FREQ={one};COUNT=10000" for one in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")),
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=10000",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=100",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
    "FREQ=WEEKLY;BYMONTH=2;BYDAY=MO,TU;BYSETPOS=2;COUNT=390",
    f"FREQ=YEARLY;{ALL_DAYS};{ALL_HOURS};{ALL_MINUTES}",
    f"FREQ=WEEKLY;{ALL_DAYS};{ALL_HOURS};{ALL_MINUTES};COUNT=10000",
    f"FREQ=YEARLY;{ALL_DAYS};BYHOUR=1,2;{MANY_POSITIONS};COUNT=1000",
    f"FREQ=MONTHLY;{ALL_DAYS};{ALL_HOURS};{MANY_POSITIONS};COUNT=1000",
    f"FREQ=MONTHLY;{ALL_DAYS};{ALL_HOURS};{MANY_POSITIONS};COUNT=10000",
    f"FREQ=YEARLY;{ALL_DAYS};{ALL_HOURS};BYSETPOS=1",
    "FREQ=YEARLY;BYDAY=53MO,53TU;BYMONTHDAY=31;BYSETPOS=2",
    "FREQ=DAILY;BYHOUR=9;BYSETPOS=2",
]
HOSTILE: list[dict[str, Any]] = [
    {"cron": "*/" + "9" * 100_000 + " * * * *"},
    {"cron": "1000000000 * * * *"},
    {"cron": "0-59/1000000000 * * * *"},
    {"cron": ",".join(["*"] * 120) + " * * * *"},
    {"cron": "@every " + "9" * 240},
    {"cron": "(" * 250},
    {"cron": " \t" * 125},
    {"cron": "cron(" * 50},
    {"cron": ["* * * * *"] * 100_000},
    {"cron": ["59 23 29 2 1#5"] * 20},
    {"cron": "0 0 29 2 1#5"},
    {"cron": NEVER},
    {"cron": NEVER[0]},
    {"cron": [f"{one} 0 29 2 */7" for one in range(20)]},
    {"cron": [f"{one} * {MANY_NEAREST},29 2 */7" for one in range(20)]},
    {"cron": [f"*/{one + 1} * {one}W,{one + 1} * {one % 7}#2" for one in range(1, 20)]},
    {"rrule": "FREQ=DAILY;" * 10_000, "time": LOCAL},
    {"rrule": "FREQ=DAILY;INTERVAL=1000000000", "time": LOCAL},
    {"rrule": "FREQ=DAILY;COUNT=1000000000", "time": LOCAL},
    {"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "time": LOCAL},
    {"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31;COUNT=10000", "time": LOCAL},
    {"rrule": "FREQ=YEARLY;INTERVAL=1000;BYMONTH=2;BYMONTHDAY=29;COUNT=10000", "time": LOCAL},
    {"rrule": "FREQ=YEARLY;BYDAY=53MO;BYSETPOS=366", "time": LOCAL},
    {"rrule": "BYDAY=" + ",".join(["MO"] * 300) + ";FREQ=DAILY", "time": LOCAL},
    *({"rrule": one, "time": LOCAL} for one in HOSTILE_RULES),
    {"interval": "P" + "9" * 100_000 + "D"},
    {"interval": 10**400},
    {"interval": "1h" * 50_000},
    {"time": LOCAL, "interval": "P9999Y", "timezone": "UTC", "recurring": True},
    {"cron": "@daily", "timezone": "A/" * 50_000},
    {"cron": "@daily", "timezone": "Europe/" + "x" * 57},
    {"cron": "@daily", "except": ["2026-12-25"] * 1_000_000},
    {"cron": "@daily", "spread": "PT" + "9" * 100_000 + "S"},
]


MOST_STEPS = 60_000  # calls of functions: some 20 ms


@pytest.mark.parametrize("details", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_details_take_bounded_work(details: dict[str, Any]) -> None:
    refusals = [""]

    def read_and_plan() -> None:
        try:
            schedule = schedule_from(details, anchor=ANCHOR)
        except ScheduleError as error:
            refusals.append(error.message)
        else:
            plan_some(schedule)

    steps = steps_of(read_and_plan)

    assert steps < MOST_STEPS
    assert len(refusals[-1]) < 300


def plan_some(schedule: Schedule) -> None:
    """Asks near and far, where a rare day has just been."""
    for year in (2026, 2032, 2096, 5000):
        since = ANCHOR.replace(year=year)
        next_fire_at_or_after(schedule, since)
        latest_fire_in(schedule, since=since, until=since + timedelta(days=30))
