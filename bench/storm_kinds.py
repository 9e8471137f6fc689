"""Measures storms of triggers of each kind of schedule, beside those of intervals in one run."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bench.planned import Planned
from bench.report import Rounds, at_least, ratio, table
from bench.served import default_site
from bench.storm import Fired, hourly, measure_bare, measure_service

INTERVAL = "interval"
ROUND_WITHIN = 600.0  # seconds
_ZONE = ZoneInfo("Europe/Berlin")
_EPOCH = date(1970, 1, 1)
_WORKING = "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=-1"


def _in_utc(**details: Any) -> Callable[[datetime], Planned]:
    """Plans by details that are not checked when they are due, so that any second will do."""
    return lambda _: Planned(details)


def _from_then(**details: Any) -> Callable[[datetime], Planned]:
    """Plans by details in a zone, whose first local time is the instant: it is checked when due."""

    def plan(due_at: datetime) -> Planned:
        local = due_at.astimezone(_ZONE).replace(tzinfo=None)
        return Planned({"timezone": _ZONE.key, "time": local.isoformat(), **details})

    return plan


def _feasts(due_at: datetime) -> list[date]:
    return [due_at.date() + timedelta(days=2 + 30 * number) for number in range(120)]


def _except_dates(due_at: datetime) -> Planned:
    dates = [str(one) for one in _feasts(due_at)]
    return _from_then(rrule=_WORKING, **{"except": dates})(due_at)


def _by_calendar(due_at: datetime) -> Planned:
    planned = _from_then(rrule=_WORKING, **{"except": [{"calendar": "closed"}]})(due_at)
    return planned._replace(excluded_days=[(one - _EPOCH).days for one in _feasts(due_at)])


def _spread(due_at: datetime) -> Planned:
    details = {"cron": "* * * * *", "timezone": _ZONE.key, "spread": "PT1M"}
    return Planned(details, shift_seconds=due_at.second)


KINDS: dict[str, Callable[[datetime], Planned]] = {
    INTERVAL: hourly,
    "cron": _in_utc(cron="7 * * * *"),
    "list of crons": _in_utc(cron=["7 * * * *", "37 9-17 * * 1-5", "0 0 L * *"]),
    "cron in a zone, spread": _spread,
    "civil days": _from_then(interval="P2W", recurring=True),
    "civil months": _from_then(interval="P1M", recurring=True),
    "rrule": _from_then(rrule=_WORKING),
    "rrule, except 120 dates": _except_dates,
    "rrule, except a calendar": _by_calendar,  # of as many dates
}


async def measure_round(storms: Rounds[Fired], count: int) -> None:
    """Measures each kind in a new process, and the interval again in the middle and at the end."""
    async with default_site() as built:
        ahead = 2 + 1.5 * (await measure_bare(built, count)).planting
        await built.start(1)
        names = [*KINDS]
        for name in [*names[: len(names) // 2], INTERVAL, *names[len(names) // 2 :], INTERVAL]:
            taken = measure_service(built, count, ahead=ahead, plan=KINDS[name])
            await storms.take(name, taken)
        await built.end()


async def report_storm_kinds(*, count: int, rounds: int) -> list[str]:
    storms = Rounds[Fired]()
    for _ in range(rounds):
        await storms.attempt("a round", measure_round(storms, count), within=ROUND_WITHIN)
    found = storms.medians()
    interval = found.get(INTERVAL)
    rows = {
        name: (
            *(f"{one.per_second:,.0f}", _shown(ratio(one, interval, "per_second"))),
            *(f"{one.cpu:.0f}", _shown(ratio(one, interval, "cpu"))),
        )
        for name, one in found.items()
    }
    title = f"{count:,} triggers due at one instant, by kind, medians of {rounds}"
    return [
        *table(title, ("/s", "of interval", "CPU µs", "of interval"), rows, storms.failed),
        *(
            at_least(
                f"{name} beside {INTERVAL}",
                ratio(found.get(name), interval, "per_second"),
                0.6,
                "×",
            )
            for name in KINDS
            if name != INTERVAL
        ),
    ]


def _shown(found: float | None) -> str:
    return "" if found is None else f"{found:.2f}"
