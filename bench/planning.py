"""Measures how long one trigger's next instant takes, from its details as they are stored.

Each trigger has details of its own, so that no plan is in a cache: the worst case of a storm. The
limit is for processor time; what else the machine does is in the wall time too.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

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


class Taken(NamedTuple):
    """Milliseconds of processor time and of wall time, of each trigger."""

    cpu: float
    wall: float


async def report_planning(*, count: int) -> list[str]:
    found = {kind: _percentiles([*_taken(details, count)]) for kind, details in KINDS.items()}
    rows = {
        kind: (f"{p50.cpu:.3f}", f"{p99.cpu:.3f}", f"{p50.wall:.3f}", f"{p99.wall:.3f}")
        for kind, (p50, p99) in found.items()
    }
    title = f"planning one of {count:,} triggers, each with details of its own"
    return [
        *table(title, ("CPU p50 ms", "p99", "wall p50 ms", "p99"), rows),
        *(
            at_most(f"planning {kind} in 99 %", p99.cpu, 1, " ms of CPU time")
            for kind, (_, p99) in found.items()
        ),
    ]


def _percentiles(taken: Sequence[Taken]) -> tuple[Taken, Taken]:
    """Returns the median and the 99th percentile of each time."""
    times = [sorted(each) for each in zip(*taken, strict=True)]
    middle, last = (
        Taken(*(each[len(each) * percent // 100] for each in times)) for percent in (50, 99)
    )
    return middle, last


def _taken(details: Callable[[int], dict[str, Any]], count: int) -> Iterator[Taken]:
    for number in range(count):
        made = details(number)
        if "interval" not in made or "time" in made:
            made["timezone"] = _ZONES[number % len(_ZONES)]
        stored = json.dumps(made)
        began = time.thread_time(), time.perf_counter()
        plan_of_stored(stored, anchor=_NOW).next_at_or_after(_NOW, fired=0)
        ended = time.thread_time(), time.perf_counter()
        yield Taken(*(1000 * (end - begin) for begin, end in zip(began, ended, strict=True)))
