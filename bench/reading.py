"""Measures lists and counts over HTTP with two days of events, order by order and filter by filter.

It asks in a project with very many triggers, in one of many projects, and as an admin in all.
"""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import NamedTuple

from bench.gauges import cpu_of, processes_of
from bench.large_log import PROJECTS, SEEN_LITTLE, plant_two_days
from bench.load import FEWEST, Measured, get, load, paced
from bench.report import Rounds, at_most, table
from bench.served import default_site
from event_trigger.triggers.sorting import TriggerSort
from event_trigger.web.pagination import encode_cursor
from tests.faults.site import Site
from tests.support.processes import SERVE
from tests.support.services import ADA, ADMIN, BOB, token_of

PATIENCE_MS = 4_000  # for one question: a slow one is asked less often, but
LEAST = 5  # times at least
FEWEST_OF_LIMITS = 1_000  # of a hundred calls, the 99th percentile is the slowest but one
SLOW_MS, SHOWN = 50, 10  # so many of those that are slower are shown
EVENTS = (
    "limit=50",
    "limit=50&cursor={deep}",
    "limit=50&state=active",
    "limit=50&state=archived",
    "limit=50&since={yesterday}",
    "limit=50&until={yesterday}",
    "limit=50&since={yesterday}&until={then}",
    "limit=50&trigger_id=7",
    "limit=50&trigger_id=7&type=scheduled&cursor={deep}",
    "limit=50&trigger_id={little}",
    "limit=50&trigger_id=987654321",
    "limit=50&type=scheduled",
    "limit=50&type=api",
    "limit=50&is_test=false",
    "limit=50&is_test=true",
    "limit=50&is_test=true&type=scheduled",
    "limit=50&is_test=true&state=archived&trigger_id=1",
    "limit=50&view=summary",
    "limit=50&include=deliveries",
    "limit=50&{hundred}",
    "limit=1000",
)
COUNTS = (
    "aggregate=true",
    "aggregate=true&trigger_id=7",
    "aggregate=true&type=api",
    "aggregate=true&is_test=true",
    "aggregate=true&state=active",
    "aggregate=true&since={yesterday}&until={then}",
    "aggregate=true&{hundred}",
)
SORTS = tuple(f"/triggers?limit=50&sort={one}" for one in TriggerSort)
TRIGGERS = (
    "limit=50",
    "limit=50&cursor={middle}",
    "limit=50&view=summary",
    "limit=50&type=api",
    "limit=50&status=paused",
    "limit=50&status=paused&type=api",
    "limit=50&tag=all",
    "limit=50&tag=rare",
    "limit=50&tag=none",
    "limit=50&tag=all&tag=rare",
    "limit=50&q=report",
    "limit=50&q=needle",
    "limit=50&q=zz",
    "limit=50&q=needle&tag=rare&status=paused",
    "limit=50&destination_id=7",
    "limit=50&failing=true",
    "limit=50&key=none",
    "limit=50&sort=name&view=summary",
    "limit=50&sort=-last_fired_at&status=active",
    "limit=50&sort=-last_fired_at&tag=all",
    "limit=50&sort=next_fire_at&type=scheduled",
    "limit=50&sort=next_fire_at&destination_id=7",
    "limit=50&sort=name&status=paused",
    "limit=50&sort=name&tag=rare",
    "limit=50&sort=name&failing=true",
    "limit=50&sort=name&q=report",
    "limit=50&sort=name&id=1&id=2&id=3",
)
DELIVERIES = (
    "limit=50",
    "limit=50&cursor={middle}",
    "limit=50&status=delivered",
    "limit=50&status=exhausted&status=retrying",
    "limit=50&status=pending",
    "limit=50&error=timeout",
    "limit=50&until={yesterday}",
    "limit=50&since={yesterday}&until={then}",
    "limit=50&event_id=77",
    "limit=50&trigger_id=7",
    "limit=50&trigger_id={little}",
    "limit=50&trigger_id=7&status=exhausted",
    "limit=50&destination_id=3",
    "limit=50&destination_id=999",
    "limit=50&destination_id=3&status=exhausted",
)
AUDIT = (
    "limit=50",
    "limit=50&user_id=5",
    "limit=50&action=trigger.update",
    "limit=50&action=key.delete",
    "limit=50&target=trigger",
    "limit=50&target=key",
    "limit=50&target_id=7",
    "limit=50&target=trigger&target_id=7",
    "limit=50&refused=true",
    "limit=50&refused=false",
    "limit=50&since={yesterday}",
    "limit=50&until={then}",
    "limit=50&user_id=5&refused=true",
)
ALWAYS = ("/overview", "/auth/me", "/healthz")
SCRAPE = "/metrics"
SCRAPED_EVERY = 10.5  # seconds: a scraped process reads the gauges of the database every ten
OF_EVERYBODY = ("/users?limit=50", "/auth/keys?limit=50")

PAGE, COUNT = f"/events?{EVENTS[0]}", f"/events?{COUNTS[0]}"
LIMITS = (  # p99 in ms, whoever asks
    (PAGE, 10, (PAGE,)),
    (COUNT, 30, (COUNT,)),
    ("the first page in each order", 10, SORTS),
    ("/overview", 20, ("/overview",)),
)
LIMITED = frozenset((SCRAPE, *(path for _, _, paths in LIMITS for path in paths)))


@dataclass(frozen=True)
class Asker:
    """A caller in one project, or an admin in all of them."""

    name: str
    user_id: int
    project: str | None = None


@dataclass(frozen=True)
class Question:
    """A path as it is asked, and as it is shown, with names for values that change."""

    asker: Asker
    path: str
    shown: str

    @property
    def name(self) -> str:
        return f"{self.asker.name:<13} {self.shown}"


ONE = Asker("one project", ADA)  # with half of the triggers
SMALL = Asker("one of many", BOB)
ALL = Asker("all projects", ADMIN, "*")


def questions(now: datetime, *, triggers: int) -> Iterator[Question]:
    day_ago, then = now - timedelta(days=1), now - timedelta(hours=23.5)
    values = {
        "deep": encode_cursor(day_ago, 1),
        "middle": encode_cursor(triggers // 2),
        "yesterday": f"{day_ago:%Y-%m-%dT%H:%M:%SZ}",
        "then": f"{then:%Y-%m-%dT%H:%M:%SZ}",
        "little": SEEN_LITTLE,
        "hundred": "&".join(f"trigger_id={one}" for one in range(1, 101)),
    }
    events = [f"/events?{query}" for query in EVENTS]
    counts = [f"/events?{query}" for query in COUNTS]
    filtered = [f"/triggers?{query}" for query in TRIGGERS]
    deliveries = [f"/deliveries?{query}" for query in DELIVERIES]
    audit = [f"/audit?{query}" for query in AUDIT]
    destinations = ["/destinations?limit=50"]
    asked = {
        ONE: [*events, *counts, *SORTS, *filtered, *deliveries, *destinations, *ALWAYS],
        SMALL: [events[0], counts[0], *SORTS, *filtered, deliveries[0], *ALWAYS],
        ALL: [events[0], counts[0], filtered[0], deliveries[0], *audit, *OF_EVERYBODY, "/overview"],
    }
    for asker, paths in asked.items():
        yield from (Question(asker, path.format(**values), path) for path in paths)


class Answered(NamedTuple):
    """The times of a call (ms), its CPU time beside them, and how many calls they are of."""

    p50: float
    p99: float
    service: float
    postgres: float
    calls: int

    def cells(self) -> list[str]:
        times = (self.p50, self.p99, self.service, self.postgres)
        return [*(f"{one:.1f}" for one in times), f"{self.calls:,}"]


async def measure(built: Site, question: Question, *, seconds: float) -> Answered:
    url, asker = built.replicas[0].url, question.asker
    headers = {} if asker.project is None else {"X-Project-ID": asker.project}
    request = get(f"{url}{question.path}", token_of(asker.user_id), **headers)
    warm_up = await load(url, [request], callers=1, seconds=seconds / 5, fewest=3)
    wanted = FEWEST_OF_LIMITS if question.shown in LIMITED else FEWEST
    patience_ms = PATIENCE_MS * wanted / FEWEST
    fewest = min(wanted, max(LEAST, int(patience_ms / warm_up.p50)))
    return await _cost_of(built, load(url, [request], callers=1, seconds=seconds, fewest=fewest))


async def measure_apart(built: Site, path: str, count: int) -> Answered:
    """Measures an admin's calls so far apart that the gauges were read again before each.

    Each has a connection of its own: the service closes unused ones sooner.
    """
    url = built.replicas[0].url
    request = get(f"{url}{path}", token_of(ADMIN))

    async def one() -> Measured:
        [call] = await paced(url, [request], per_second=1_000, count=1, callers=1)
        return Measured(1 / call.took, call.took * 1000, call.took * 1000, 1)

    found = []
    await load(url, [request], callers=16, seconds=0)  # the first scrape of a worker waits
    for _ in range(count):
        await asyncio.sleep(SCRAPED_EVERY)
        found.append(await _cost_of(built, one()))
    times, _, service, postgres, _ = zip(*found, strict=True)
    return Answered(median(times), max(times), fmean(service), fmean(postgres), count)


async def _cost_of(built: Site, calls: Awaitable[Measured]) -> Answered:
    service = processes_of(built)
    before = cpu_of(service)
    found = await calls
    spent = cpu_of(service).since(before)
    ms = 1000 / found.calls
    return Answered(found.p50, found.p99, spent.service * ms, spent.postgres * ms, found.calls)


async def take_scrapes(
    found: Rounds[Answered], built: Site, *, seconds: float, apart: int
) -> list[str]:
    """Scrapes one process and two workers, in a row and `apart`; returns the rows' names."""
    names = []
    for workers in (1, 2):
        await built.end()
        built.replicas.clear()
        await built.start(1, *SERVE, *(("--workers", str(workers)) if workers > 1 else ()))
        name = f"{ALL.name:<13} {SCRAPE}, {workers} process{'es' * (workers > 1)}"
        in_a_row = measure(built, Question(ALL, SCRAPE, SCRAPE), seconds=seconds)
        await found.take(name, in_a_row, within=60)
        names.append(name)
        if apart:
            names.append(f"{name}, {SCRAPED_EVERY} s apart")
            await found.take(names[-1], measure_apart(built, SCRAPE, apart))
    return names


async def report_reading(
    *, triggers: int, events: int, seconds: float, scrapes_apart: int
) -> list[str]:
    """Sends each request for `seconds`, by one caller."""
    found = Rounds[Answered]()
    async with default_site() as built:
        now = await plant_two_days(
            built.url, events=events, triggers=triggers, deliveries=events // 10
        )
        await built.start(1)
        for one in questions(now, triggers=triggers):
            await found.take(one.name, measure(built, one, seconds=seconds), within=60)
        scrapes = await take_scrapes(found, built, seconds=seconds, apart=scrapes_apart)
    medians = found.medians()
    rows = {name: one.cells() for name, one in medians.items()}
    title = f"reading, {events:,} events, {triggers:,} triggers in one project and in {PROJECTS:,}"
    heads = ("p50 ms", "p99 ms", "CPU ms", "postgres", "calls")
    scraped = max((medians[one].p99 for one in scrapes if one in medians), default=None)
    return [
        *table(title, heads, rows, found.failed),
        *slowest(medians),
        *limits(medians),
        at_most("p99 of a scrape, but the first of a process", scraped, 50, " ms"),
    ]


def slowest(found: Mapping[str, Answered]) -> Iterator[str]:
    slow = {name: one for name, one in found.items() if one.p99 > SLOW_MS}
    yield f"  slower than {SLOW_MS} ms: {len(slow)} of {len(found)}"
    for name in sorted(slow, key=lambda one: -slow[one].p99)[:SHOWN]:
        yield f"    {name}: p99 {slow[name].p99:,.0f} ms"


def limits(found: Mapping[str, Answered]) -> Iterator[str]:
    for what, limit, paths in LIMITS:
        asked = {Question(asker, path, path).name for asker in (ONE, SMALL, ALL) for path in paths}
        slowest = max((found[name].p99 for name in asked & found.keys()), default=None)
        yield at_most(f"p99 of {what}, whoever asks", slowest, limit, " ms")
