"""A program as a user writes it; `mypy --strict` reads it, and a test runs it."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from event_trigger_client import (
    After,
    AsyncClient,
    At,
    Client,
    Cron,
    Fired,
    Heartbeat,
    Hook,
    Interval,
    NotVerified,
    OnCall,
    Problem,
    Received,
    RRule,
    receive,
)
from event_trigger_client.errors import Invalid, NotFound
from event_trigger_client.schedules import Schedule
from event_trigger_client.testing import SECRET, Sample
from event_trigger_client.types import Event, Overview, SetPlan, Trigger

SCHEDULES: Sequence[Schedule] = (
    Cron("30 2 * * 1-5", timezone="Europe/Berlin", except_=[date(2026, 12, 25)]),
    Cron(["0 9 * * 1", "0 12 * * 5"], spread="PT10M", catch_up="none"),
    Interval(timedelta(minutes=15), max_fires=3),
    Interval(0.5),
    Interval("P1M", time="2027-01-31T09:00:00", timezone="Europe/Berlin", month_end="skip"),
    At(datetime(2030, 1, 1, 12), timezone="Europe/Berlin"),
    After("PT90S"),
    RRule("FREQ=MONTHLY;BYDAY=-1FR", "2026-11-27T17:00:00", timezone="Europe/Berlin"),
    OnCall(schema={"type": "object"}),
    OnCall(hook=Hook("github", secret="0123456789abcdef")),
    Heartbeat(interval="PT1H", grace=timedelta(minutes=5), hook=Hook()),
)


def use(events: Client) -> list[str]:
    made: list[Trigger] = [
        events.triggers.put(f"made-{number}", schedule, tags=["made"])
        for number, schedule in enumerate(SCHEDULES)
    ]
    again = [
        events.triggers.put(f"made-{n}", one, tags=["made"]) for n, one in enumerate(SCHEDULES)
    ]
    assert [one["id"] for one in made] == [one["id"] for one in again]
    assert made[0]["details"]["timezone"] == "Europe/Berlin"
    fired: Fired = events.fire("made-8", {"n": 1})
    event: Event = events.events.get(fired.event_id)
    plan: SetPlan = events.sets.plan("billing", {"triggers": {}})
    overview: Overview = events.overview()
    try:
        events.triggers.get("nothing")
    except NotFound as problem:
        assert problem.status == 404
    try:
        events.triggers.create(Cron("61 * * * *"))
    except Invalid as invalid:
        assert invalid.pointers == ("#/details/cron",)
    except Problem as problem:
        raise SystemExit(problem.detail) from problem
    keys = [trigger["key"] or "" for trigger in events.triggers.list(tag="made", limit=3)]
    assert overview["destinations"]["open"] == 0
    assert plan["create"] == []
    return [event["state"], *sorted(keys)]


async def use_async(url: str, token: str) -> int:
    async with AsyncClient(url, token=token) as events:
        async for event in events.events.follow(trigger="made-8", after=0):
            return event["id"]
    return 0


def take() -> Received:
    sample = Sample({"n": 1}, format="payload")
    try:
        receive(b"", sample.headers, secret=[SECRET])
    except NotVerified:
        return receive(sample.body, sample.headers, secret=SECRET)
    raise AssertionError


if __name__ == "__main__":
    url, token = sys.argv[1:]
    with Client(url, token=token) as events:
        print(*use(events))
    print(asyncio.run(use_async(url, token)) > 0, take().data)
