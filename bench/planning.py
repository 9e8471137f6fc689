"""Measures how long one trigger's next instant takes, from its details as they are stored.

Each trigger has details of its own, so that no plan is in a cache: the worst case of a storm.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.report import at_most, table
from event_trigger.triggers.schedule.plan import plan_of_stored

_ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "UTC")
_DATES = [f"2027-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
_START = datetime(2020, 1, 31)  # noqa: DTZ001 - a local time
_NOW = datetime(2027, 3, 27, 23, 30, tzinfo=UTC)  # clocks change within hours


def _start(number: int) -> str:
    return (_START + timedelta(minutes=number)).isoformat()


def _minute(number: int) -> str:
    return f"{number % 60} {number // 60 % 24}"


KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "interval": lambda number: {"interval": 1 + number / 60, "recurring": True},
    "cron": lambda number: {"cron": f"{_minute(number)} * * *"},
    "rare cron": lambda number: {"cron": f"{_minute(number)} 29 2 1#5"},
    "20 crons": lambda number: {
        "cron": [f"{_minute(number + 61 * line)} * * {line % 7}" for line in range(20)]
    },
    "civil days": lambda number: {
        "time": _start(number),
        "interval": f"P{1 + number % 90}D",
        "recurring": True,
    },
    "civil months": lambda number: {
        "time": _start(number),
        "interval": f"P{1 + number % 12}M",
        "month_end": "skip",
        "recurring": True,
    },
    "rrule": lambda number: {
        "rrule": f"FREQ=MONTHLY;INTERVAL={1 + number % 6};BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "time": _start(number),
    },
    "rrule, yearly": lambda number: {
        "rrule": "FREQ=YEARLY;BYDAY=20MO;BYHOUR=9,12,15",
        "time": _start(number),
    },
    "336 exceptions": lambda number: {"cron": f"{_minute(number)} * * *", "except": _DATES},
}


async def report_planning(*, count: int) -> list[str]:
    taken = {kind: sorted(_seconds(details, count)) for kind, details in KINDS.items()}
    p99 = {kind: 1000 * each[count * 99 // 100] for kind, each in taken.items()}
    rows = {
        kind: (f"{1000 * statistics.median(each):.3f}", f"{p99[kind]:.3f}")
        for kind, each in taken.items()
    }
    title = f"planning one of {count:,} triggers, each with details of its own"
    return [
        *table(title, ("p50 ms", "p99 ms"), rows),
        *(at_most(f"planning {kind} in 99 %", each, 1, " ms") for kind, each in p99.items()),
    ]


def _seconds(details: Callable[[int], dict[str, Any]], count: int) -> Iterator[float]:
    for number in range(count):
        made = details(number)
        if "interval" not in made or "time" in made:
            made["timezone"] = _ZONES[number % len(_ZONES)]
        stored = json.dumps(made)
        began = time.thread_time()
        plan_of_stored(stored, anchor=_NOW).next_at_or_after(_NOW, fired=0)
        yield time.thread_time() - began
