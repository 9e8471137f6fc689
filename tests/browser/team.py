"""Fills a service with what a real team has after a day of work, for screenshots."""

import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import missing_partitions
from tests.support.calendars import put_calendar
from tests.support.counting import count_now, read_overview
from tests.support.databases import connect
from tests.support.destinations import make_destination
from tests.support.keys import make_key
from tests.support.receiver import Receiver
from tests.support.services import ADA
from tests.support.sets import put_set
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

BERLIN = "Europe/Berlin"
PAST = timedelta(hours=26)
OUTAGE = (timedelta(hours=7, minutes=4), timedelta(hours=6, minutes=50))  # before now
# name, tags, destinations; then seconds between instants, or a local time, days of a cron
EVERY: tuple[tuple[str, list[str], list[str], int], ...] = (
    ("Check payout gateway", ["payments", "probe"], [], 60),
    ("Exchange rates", ["finance"], ["warehouse"], 300),
    ("Sync CRM contacts", ["sales"], ["crm"], 600),
    ("Expire shopping carts", ["shop"], [], 900),
    ("Warehouse load", ["data"], ["warehouse"], 3600),
    ("Refresh search index", ["shop"], [], 1800),
)
DAILY: tuple[tuple[str, list[str], list[str], str, str], ...] = (
    ("Nightly report", ["finance", "nightly"], ["warehouse", "slack-ops"], "02:30", "*"),
    ("Ledger close", ["finance", "nightly"], ["warehouse"], "03:00", "*"),
    ("Card settlement file", ["payments", "nightly"], ["bank"], "05:15", "1-5"),
    ("Dunning e-mails", ["finance"], ["mailer"], "09:00", "1-5"),
    ("Stand-up reminder", ["team"], ["slack-ops"], "09:25", "1-5"),
    (
        "Churn report for the board and everybody else who has asked for it",
        ["data"],
        [],
        "06:00",
        "1",
    ),
)
FILE: dict[str, Any] = {
    "triggers": {
        "invoice-run": {
            "type": "scheduled",
            "name": "Invoice run",
            "details": {"cron": "0 6 1 * *", "timezone": BERLIN},
            "tags": ["billing"],
        },
        "invoice-reminders": {
            "type": "scheduled",
            "name": "Invoice reminders",
            "details": {
                "cron": "0 10 * * 1-5",
                "timezone": BERLIN,
                "except": [{"calendar": "bank-holidays"}],
            },
            "tags": ["billing"],
        },
    },
}


_UNCOUNTED = """
    SELECT EXISTS (
        SELECT FROM event_partitions AS made
        LEFT JOIN minute_partitions AS counted USING (starts_at)
        WHERE made.ends_at <= now() AND counted.counted_until IS DISTINCT FROM made.ends_at
    )
"""


async def fill(client: httpx.AsyncClient, database_url: str, receiver: Receiver) -> dict[str, int]:
    """Makes all of it; gives the ids that views are opened with."""
    await _name_project(client)
    destinations = await _make_destinations(client, receiver)
    await put_calendar(client, "bank-holidays", "2026-12-25", "2026-12-28", "2027-01-01")
    await put_calendar(client, "office-closed", "2026-12-24", "2026-12-31")
    await put_set(client, "billing", FILE)
    planned = await _make_scheduled(client, destinations)
    called = {
        name: int(one["id"]) for name, one in (await _make_called(client, destinations)).items()
    }
    await _plant_past(database_url, planned, destinations)
    await _invite(client)
    await _make_keys(client)
    calls = keep_calling(client, called)
    for _ in range(30):
        await anext(calls)
    event = await _call(client, called["orders"], _order(41))
    await client.post(f"/triggers/{called['paused']}/pause")
    await until_counted(client, database_url)
    return {
        "trigger": planned["Sync CRM contacts"],
        "nightly": planned["Nightly report"],
        "event": event,
        **called,
        "destination": destinations["crm"],
    }


async def until_counted(client: httpx.AsyncClient, url: str) -> None:
    """Counts all that is planted, and waits until the overview can tell what there is."""
    database = await connect(url)
    while await database.fetchval(_UNCOUNTED):
        await count_now(url)
    await database.close()
    await eventually(lambda: read_overview(client), lambda found: found["at"] is not None)


async def keep_calling(client: httpx.AsyncClient, ids: dict[str, int]) -> AsyncIterator[int]:
    """Fires what the team calls by hand and by hooks, one at each step, without end."""
    for number in count():
        name = ("orders", "orders", "deploys", "orders", "hook")[number % 5]
        payload = _order(number) if name == "orders" else {"repository": "shop", "ref": "v214"}
        yield await _call(client, ids[name], payload)


async def _call(client: httpx.AsyncClient, trigger_id: int, payload: Any) -> int:
    answer = await client.post(f"/triggers/{trigger_id}/trigger", json=payload)
    assert answer.status_code == 200, answer.text
    return int(answer.headers["event-id"])


def _order(number: int) -> dict[str, Any]:
    return {
        "order": 90_210 + number,
        "customer": "c_8412",
        "total": {"amount": 14_900 + number * 10, "currency": "EUR"},
        "items": [{"sku": "LAMP-07", "count": 1}, {"sku": "BULB-E27", "count": 2}],
    }


async def _name_project(client: httpx.AsyncClient) -> None:
    me = (await client.get("/auth/me")).json()
    await client.patch(f"/projects/{me['project']['id']}", json={"name": "Northwind shop"})


async def _make_destinations(client: httpx.AsyncClient, receiver: Receiver) -> dict[str, int]:
    receiver.answers["/crm"] = 502
    made = {}
    for key, description in {
        "crm": "Contacts of the sales team",
        "warehouse": "Data warehouse, raw events",
        "slack-ops": "Channel of those on call",
        "bank": "Settlement files",
        "mailer": "Transactional mails",
    }.items():
        url = f"{receiver.url}/{key}"
        one = await make_destination(client, url, key=key, description=description, timeout=2)
        made[key] = int(one["id"])
    return made


async def _make_scheduled(client: httpx.AsyncClient, known: dict[str, int]) -> dict[str, int]:
    made = {}
    for name, tags, destinations, seconds in EVERY:
        details = {"interval": f"PT{seconds}S", "recurring": True}
        used = [known[one] for one in destinations]
        one = await make_scheduled(client, details, name=name, tags=tags, destinations=used)
        made[name] = int(one["id"])
    for name, tags, destinations, at, days in DAILY:
        hour, minute = at.split(":")
        details = {"cron": f"{int(minute)} {int(hour)} * * {days}", "timezone": BERLIN}
        used = [known[one] for one in destinations]
        one = await make_scheduled(client, details, name=name, tags=tags, destinations=used)
        made[name] = int(one["id"])
    return made


async def _make_called(
    client: httpx.AsyncClient, known: dict[str, int]
) -> dict[str, dict[str, Any]]:
    hook = {"hook": {"verify": "github"}}
    return {
        "orders": await make_api(
            client,
            name="Order placed",
            key="order-placed",
            tags=["shop"],
            destinations=[known["warehouse"], known["crm"]],
        ),
        "deploys": await make_api(
            client, name="Deploy finished", key="deploys", destinations=[known["slack-ops"]]
        ),
        "hook": await make_api(client, name="Pull request merged", details=hook),
        "paused": await make_api(client, name="Legacy import", tags=["data"]),
    }


async def _invite(client: httpx.AsyncClient) -> None:
    project = (await client.get("/auth/me")).json()["project"]["id"]
    for email, role in (("bob@example.com", "operator"), ("admin@example.com", "viewer")):
        await client.post(f"/projects/{project}/members", json={"email": email, "role": role})
    invited = {"role": "editor", "email": "grace@example.com"}
    await client.post(f"/projects/{project}/invitations", json=invited)


async def _make_keys(client: httpx.AsyncClient) -> None:
    soon = f"{datetime.now(UTC) + timedelta(days=40):%Y-%m-%dT%H:%M:%SZ}"
    await make_key(client, "triggers:fire", name="Shop backend")
    await make_key(client, "triggers:read", "triggers:write", name="Deploy pipeline")
    await make_key(client, "events:read", name="Dashboard in the hallway", expires_at=soon)


async def _plant_past(url: str, planned: dict[str, int], destinations: dict[str, int]) -> None:
    """Lets all triggers have been there for a day, in which the service was down once."""
    await _make_partitions(url)
    database = await connect(url)
    chosen = random.Random(7)
    try:
        now = await database.fetchval("SELECT date_trunc('minute', now())")
        for name, tags, _, seconds in EVERY:
            await _set_back(database, planned[name], now - PAST)
            grid = _grid(now, seconds)
            await _plant(database, planned[name], grid, _outage(now), is_probe="probe" in tags)
        for name, _, _, at, _ in DAILY:
            await _set_back(database, planned[name], now - PAST)
            await _plant(database, planned[name], _daily(now, at), _outage(now))
        await _plant_deliveries(database, destinations, now, chosen)
    finally:
        await database.close()


def _outage(now: datetime) -> tuple[datetime, datetime]:
    return now - OUTAGE[0], now - OUTAGE[1]


def _grid(now: datetime, seconds: int) -> list[datetime]:
    first, step = now - PAST, timedelta(seconds=seconds)
    return [first + step * number for number in range(1, int(PAST / step) + 1)]


def _daily(now: datetime, at: str) -> Iterator[datetime]:
    zone = ZoneInfo(BERLIN)
    for back in range(3):
        day = (now - timedelta(days=back)).astimezone(zone).date()
        instant = datetime.combine(day, time.fromisoformat(at), zone).astimezone(UTC)
        if now - PAST < instant < now:
            yield instant


async def _make_partitions(url: str) -> None:
    engine = create_engine(url)
    async with create_sessions(engine).begin() as session:
        made = await Partitions(session).list_all()
        width = made[0].ends_at - made[0].starts_at
        now = datetime.now(UTC)
        past = missing_partitions(made, now=now - PAST, ahead=PAST, width=width)
        for one in past:
            if one.ends_at <= now:
                await Partitions(session).add(one)
    await engine.dispose()


async def _set_back(database: Any, trigger_id: int, to: datetime) -> None:
    await database.execute(
        "UPDATE triggers SET created_at = $2, in_force_after = $2, anchor_at = $2,"
        " settled_until = now() WHERE id = $1",
        trigger_id,
        to,
    )


async def _plant(
    database: Any,
    trigger_id: int,
    instants: Iterator[datetime] | list[datetime],
    outage: tuple[datetime, datetime],
    *,
    is_probe: bool = False,
) -> None:
    """Inserts an event for each instant; one stands for those of the outage, none for a probe."""
    instants = [*instants]
    lost = [one for one in instants if outage[0] <= one <= outage[1]]
    fired = [one for one in instants if one not in lost]
    rows = [(one, one + timedelta(milliseconds=9 + one.minute % 23)) for one in fired]
    if lost and not is_probe:
        rows.append((lost.pop(), outage[1] + timedelta(milliseconds=812)))
    await database.executemany(
        """
        INSERT INTO events (shard, owner_id, trigger_id, type, is_test, source_kind, scheduled_for,
            triggered_at, payload)
        VALUES ($1::bigint % 64, $1, $2, 'scheduled', false, 'schedule', $3, $4, '{"run": "full"}')
        """,
        [(ADA, trigger_id, planned, fired_at) for planned, fired_at in rows],
    )
    await database.execute(
        "UPDATE triggers SET fire_count = $2, last_fired_at = $3, next_fire_at = CASE"
        " WHEN details->>'interval' IS NULL THEN next_fire_at"
        " ELSE $4::timestamptz + (details->>'interval')::interval END WHERE id = $1",
        trigger_id,
        len(rows),
        max((at for _, at in rows), default=None),
        max(instants, default=None),
    )
    if lost:
        await _plant_unfired(database, trigger_id, lost, "missed" if is_probe else "coalesced")


async def _plant_unfired(database: Any, trigger_id: int, lost: list[datetime], reason: str) -> None:
    await database.execute(
        """
        INSERT INTO unfired_ranges (shard, owner_id, trigger_id, version, first_at, last_at, count,
            reason, recorded_at)
        VALUES ($1::bigint % 64, $1, $2, 1, $3, $4, $5, $6, $4)
        """,
        ADA,
        trigger_id,
        lost[0],
        lost[-1],
        len(lost),
        reason,
    )
    await database.execute(
        """
        INSERT INTO minute_counts (shard, owner_id, measure, minute, series, destination_id, bucket,
            part, count)
        VALUES ($1::bigint % 64, $1, 'unfired', date_trunc('minute', $2::timestamptz), $3, 0, 0,
            $4, $5)
        """,
        ADA,
        lost[-1],
        reason,
        trigger_id,
        len(lost),
    )


async def _plant_deliveries(
    database: Any, destinations: dict[str, int], now: datetime, chosen: random.Random
) -> None:
    """Counts a day of attempts, more of them by day than by night."""
    for back in range(1, 24 * 60, 5):
        at = now - timedelta(minutes=back)
        busy = 3 if 8 <= at.astimezone(ZoneInfo(BERLIN)).hour < 20 else 1
        for key in ("warehouse", "slack-ops", "mailer"):
            await database.execute(
                """
                INSERT INTO minute_counts (shard, owner_id, measure, minute, series, destination_id,
                    bucket, part, count, longest_ms)
                VALUES ($1::bigint % 64, $1, 'attempts', $2, 'delivered', $3, $4, 0, $5, 90)
                """,
                ADA,
                at,
                destinations[key],
                chosen.randint(16, 24),
                chosen.randint(1, 4) * busy,
            )
