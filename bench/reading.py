"""Measures lists and counts over HTTP with two days of events, filter by filter."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from bench.large_log import SEEN_LITTLE, plant_two_days
from bench.limits import at_most
from bench.load import Measured, get, load
from event_trigger.web.pagination import encode_cursor
from tests.faults.site import Site, site
from tests.support.services import ADA, ADMIN, BOB, token_of

NAMES = {ADA: "ada", BOB: "bob", ADMIN: "admin"}
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
    "limit=1000",
)
COUNTS = (
    "aggregate=true",
    "aggregate=true&trigger_id=7",
    "aggregate=true&type=api",
    "aggregate=true&is_test=true",
    "aggregate=true&state=active",
    "aggregate=true&since={yesterday}&until={then}",
)
TRIGGERS = (
    "limit=50",
    "limit=50&cursor={middle}",
    "limit=50&type=api",
    "limit=50&status=active",
    "limit=50&status=paused",
    "limit=50&status=completed",
    "limit=50&status=paused&type=api",
    "limit=50&tag=all",
    "limit=50&tag=rare",
    "limit=50&tag=none",
    "limit=50&q=report",
    "limit=50&q=needle",
    "limit=50&q=zz",
    "limit=50&q=needle&tag=rare&status=paused",
)
DELIVERIES = (
    "limit=50",
    "limit=50&cursor={middle}",
    "limit=50&status=delivered",
    "limit=50&status=exhausted",
    "limit=50&status=pending",
    "limit=50&status=retrying",
    "limit=50&event_id=77",
    "limit=50&trigger_id=7",
    "limit=50&trigger_id={little}",
    "limit=50&trigger_id=7&status=exhausted",
    "limit=50&destination_id=3",
    "limit=50&destination_id=999",
    "limit=50&destination_id=3&status=exhausted",
    "limit=50&destination_id=3&trigger_id={little}",
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
PATHS = (
    *(f"/events?{query}" for query in EVENTS + COUNTS),
    *(f"/triggers?{query}" for query in TRIGGERS),
    *(f"/deliveries?{query}" for query in DELIVERIES),
    "/destinations?limit=50",
)
OF_ADMINS = (*(f"/audit?{query}" for query in AUDIT), "/users?limit=50", "/auth/keys?limit=50")


@dataclass(frozen=True)
class Question:
    user_id: int
    path: str


def questions(now: datetime, *, events: int) -> Iterator[Question]:
    day_ago, then = now - timedelta(days=1), now - timedelta(hours=23.5)
    values = {
        "deep": encode_cursor(day_ago, 1),
        "middle": encode_cursor(events // 250),
        "yesterday": quote(day_ago.isoformat()),
        "then": quote(then.isoformat()),
        "little": SEEN_LITTLE,
    }
    for user_id, paths in ((ADA, PATHS), (ADMIN, PATHS + OF_ADMINS), (BOB, PATHS[:1])):
        for path in paths:
            yield Question(user_id, path.format(**values))


async def measure(built: Site, question: Question, *, count: int) -> Measured:
    url = built.replicas[0].url
    request = get(f"{url}{question.path}", token_of(question.user_id))
    await load(url, [request], callers=1, count=5)  # to warm up
    return await load(url, [request], callers=1, count=count)


async def report_reading(*, events: int, count: int) -> list[str]:
    """Sends each request `count` times, by one caller."""
    async with site() as built:
        now = await plant_two_days(
            built.url, events=events, triggers=events // 100, deliveries=events // 10
        )
        await built.start(1)
        return await measure_all(built, now, events=events, count=count)


async def measure_all(built: Site, now: datetime, *, events: int, count: int) -> list[str]:
    latest, counted = 0.0, 0.0
    lines = [f"reading, with {events:,} events of two days:"]
    lines.append(f"  {'who':<7}{'what':<62}{'p50 ms':>8}{'p99 ms':>8}")
    for question in questions(now, events=events):
        found = await measure(built, question, count=count)
        who = NAMES[question.user_id]
        lines.append(f"  {who:<7}{question.path[:60]:<62}{found.p50:>8.1f}{found.p99:>8.1f}")
        if question.path == f"/events?{EVENTS[0]}":
            latest = max(latest, found.p99)
        if question.path == f"/events?{COUNTS[0]}":
            counted = max(counted, found.p99)
    lines.append(at_most(f"p99 of {EVENTS[0]}, whoever asks", latest, 10, " ms"))
    lines.append(at_most(f"p99 of {COUNTS[0]}, whoever asks", counted, 30, " ms"))
    return lines
