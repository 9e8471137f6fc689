"""Changes zone rules between a kill and the next start: each local time fires once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.faults.site import Postgres, Site, make
from tests.support.clock import create_still_database, make_still_template, name_of, set_clock
from tests.support.databases import connect, create_database
from tests.support.processes import environment, open_folder, run, start, until_ready
from tests.support.services import fill_with_people
from tests.support.waiting import eventually
from tests.support.zones import make_zones, zone_file

HOUR = timedelta(hours=1)
# before any real time: it judges sessions by the clock that stands still
BEGIN = datetime(2025, 3, 1, 2, tzinfo=UTC)
CHANGE = datetime(2025, 3, 3, 16, 30, tzinfo=UTC)
END = datetime(2025, 3, 6, 2, tzinfo=UTC)
# what 2090a says, and what 2090b does
OFFSETS = {"Test/Later": (HOUR, 0 * HOUR), "Test/Earlier": (-8 * HOUR, -7 * HOUR)}
HOURS = {"0 9 * * *": range(9, 10), "0 9-17 * * *": range(9, 18)}
CRONS = {
    "0 9 * * *": "latest",
    "0 9-17 * * *": "all",
    "*/30 * * * *": "all",
}  # that one goes by real time


@asynccontextmanager
async def still_site() -> AsyncIterator[tuple[Site, Any]]:
    """Runs a site whose database's clock stands still, and gives a connection to move it."""
    with open_folder(on_disk=True) as folder:
        postgres = Postgres(folder)
        postgres.start()
        blank = await create_database(postgres.url)
        await fill_with_people(blank)
        template = await make_still_template(postgres.url, template=name_of(blank), start=BEGIN)
        url = await create_still_database(postgres.url, template=template)
        database = await connect(url)
        built = Site(folder, postgres, url, {"EVENT_TRIGGER_KEEP_FOR": "P90D"})
        try:
            yield built, database
        finally:
            await database.close()
            for one in built.replicas:
                if one.process.poll() is None:
                    one.process.kill()
                    one.process.wait()
            postgres.stop()


async def advance(database: Any, until: datetime) -> None:
    """Moves the clock two hours at a time, and waits each time until all due triggers fired."""
    now = await database.fetchval("SELECT instant FROM testing.clock")
    while now < until:
        now = min(now + 2 * HOUR, until)
        await set_clock(database, now)
        await database.execute("SELECT pg_notify('event_trigger_schedule', '')")
        await until_fired(database)


async def until_fired(database: Any) -> None:
    await eventually(
        lambda: database.fetchval(
            "SELECT count(*) FROM triggers, testing.clock WHERE next_fire_at <= instant"
        ),
        lambda due: due == 0,
        within=30,
    )


async def serve(built: Site, count: int) -> None:
    """Starts replicas at once, and gives them two minutes on a busy machine."""
    more = [start(built.folder, [], environment(**built.settings)) for _ in range(count)]
    built.replicas += more

    async def announced() -> bool:
        assert all(one.process.poll() is None for one in more), [one.logged for one in more]
        return all("/api/docs" in one.printed for one in more)

    await eventually(announced, bool, within=120)
    await asyncio.gather(*(until_ready(one) for one in more))


async def labels_of(database: Any, made: dict[str, Any]) -> Counter[datetime]:
    """Counts the firings of each local time, as wall clocks showed it by the rules then."""
    old, new = (timezone(offset) for offset in OFFSETS[made["details"]["timezone"]])
    rows = await database.fetch(
        "SELECT scheduled_for, triggered_at FROM events WHERE trigger_id = $1", made["id"]
    )
    return Counter(
        row["scheduled_for"]
        .astimezone(old if row["triggered_at"] < CHANGE else new)
        .replace(tzinfo=None)
        for row in rows
    )


async def test_new_rules_between_two_starts_cost_no_local_time_and_repeat_none() -> None:
    async with still_site() as (built, database):
        settings = dict(built.more)
        for version, place in (("2090a", 0), ("2090b", 1)):
            zones = {key: zone_file(offsets[place]) for key, offsets in OFFSETS.items()}
            folder = make_zones(built.folder / version, version, zones)
            settings[version] = folder["PYTHONTZPATH"]
        built.more["PYTHONTZPATH"] = settings["2090a"]
        await serve(built, 1)
        async with built.client() as client:
            made = [
                await make(client, {"cron": cron, "timezone": zone, "catch_up": catch_up})
                for zone in OFFSETS
                for cron, catch_up in CRONS.items()
            ]
        await advance(database, CHANGE)
        built.kill(0)
        built.more["PYTHONTZPATH"] = settings["2090b"]
        listed = run(built.folder, "tzdata", **built.settings).stdout
        await serve(built, 2)
        await until_fired(database)
        await advance(database, END)
        labels = {one["id"]: await labels_of(database, one) for one in made}
        await built.end()
        code, said = built.audit()

    print(f"tzdata, before the start by new rules:\n{listed}")
    print(f"audit: {said.strip()}")
    for one in made:
        zone, cron = one["details"]["timezone"], one["details"]["cron"]
        wrong = wrong_in(labels[one["id"]], HOURS[cron]) if cron in HOURS else {}
        print(f"  {zone:12} {cron:14} {labels[one['id']].total()} events, wrong: {wrong}")
        assert not wrong
    assert code == 0, said


def wrong_in(found: Counter[datetime], hours: range) -> dict[str, list[str]]:
    """Gives local times that fired twice, or unasked, or not at all between first and last."""
    planned, at = set[datetime](), min(found).replace(hour=0, minute=0)
    while at <= max(found):
        if at.hour in hours and at >= min(found):
            planned.add(at)
        at += HOUR
    kinds = {
        "twice": [at for at, count in found.items() if count > 1],
        "lost": planned - found.keys(),
        "unasked": found.keys() - planned,
    }
    return {
        kind: [str(at) for at in sorted(instants)] for kind, instants in kinds.items() if instants
    }
