"""Predicts the outcome of every planned instant, in integers and without the service's arithmetic.

Instants are microseconds since 1970. A grid of elapsed time is a `range`; a cron line is tested
minute by minute.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

Instants = Sequence[int]

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
START = datetime(2027, 2, 26, 11, 58, 30, 250_000, tzinfo=UTC)  # the 28th is a Sunday
WALKED = timedelta(days=90)
GRACE = 5 * SECOND
MOST = 1000
NONE: Instants = range(0)

INTERVALS: dict[int | float | str, int] = {
    "PT7S": 7 * SECOND,
    0.625: 37_500_000,
    1: MINUTE,
    "PT60S": MINUTE,
    90: 90 * MINUTE,
    "P1D": DAY,
}
CRONS: dict[str, Callable[[datetime], bool]] = {
    "* * * * *": lambda _: True,
    "*/20 * * * *": lambda at: at.minute % 20 == 0,
    "0 9,17 * * mon-fri": lambda at: at.minute == 0 and at.hour in {9, 17} and at.isoweekday() <= 5,
    "30 2 1,13 * 0": lambda at: (
        (at.hour, at.minute) == (2, 30) and (at.day in {1, 13} or at.isoweekday() == 7)
    ),
}


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


def moment(instant: int) -> datetime:
    return EPOCH + instant * MICROSECOND


@cache
def walked(line: str) -> list[int]:
    """Gives the matches of a cron line in UTC, from START on."""
    at, found = START.replace(second=0, microsecond=0), []
    while at < START + WALKED:
        if CRONS[line](at):
            found.append(micros(at))
        at += timedelta(minutes=1)
    return found


@dataclass(frozen=True)
class Once:
    at: int

    def between(self, after: int, upto: int) -> Instants:
        return range(self.at, self.at + 1) if after < self.at <= upto else NONE

    def following(self, after: int) -> int | None:
        return self.at if self.at > after else None


@dataclass(frozen=True)
class Every:
    start: int
    step: int

    def between(self, after: int, upto: int) -> Instants:
        first = self.following(after)
        return range(first, upto + 1, self.step)

    def following(self, after: int) -> int:
        return self.start + max(0, (after - self.start) // self.step + 1) * self.step


@dataclass(frozen=True)
class Line:
    text: str

    def between(self, after: int, upto: int) -> Instants:
        found = walked(self.text)
        return found[bisect_right(found, after) : bisect_right(found, upto)]

    def following(self, after: int) -> int:
        found = walked(self.text)
        return found[bisect_right(found, after)]


Grid = Once | Every | Line


@dataclass(frozen=True)
class Plan:
    grid: Grid
    until: int | None
    max_fires: int | None
    catch_up: str
    window: int

    @property
    def looks_back(self) -> int:
        return max(self.window, GRACE)

    def between(self, after: int, upto: int) -> Instants:
        """Gives the instants in (after, upto]."""
        return self.grid.between(after, upto if self.until is None else min(upto, self.until))

    def following(self, after: int) -> int | None:
        instant = self.grid.following(after)
        ended = instant is None or (self.until is not None and instant > self.until)
        return None if ended else instant


def plan_of(details: dict[str, Any], *, anchor: int) -> Plan | None:
    """Reads details, and gives None where the service must refuse them."""
    time = None if "time" not in details else micros(datetime.fromisoformat(details["time"]))
    until = None if "until" not in details else micros(datetime.fromisoformat(details["until"]))
    step = INTERVALS[details["interval"]] if "interval" in details else None
    grid: Grid
    if "cron" in details:
        grid = Line(details["cron"])
    elif details.get("recurring") and step is not None:
        grid = Every(anchor + step if time is None else time, step)
    else:
        grid = Once(anchor + (step or 0) if time is None else time)
        if until is not None or "max_fires" in details:
            return None
    window = round(details.get("catch_up_window", 1440) * MINUTE)
    catch_up = details.get("catch_up", "latest")
    return Plan(grid, until, details.get("max_fires"), catch_up, window)


@dataclass(frozen=True)
class Decision:
    """Instants that firing now would fire, and those that it would record as not fired."""

    fires: Instants = NONE
    unfired: tuple[tuple[str, Instants], ...] = ()


@dataclass(frozen=True)
class Unfired:
    """All instants that a version plans from `first` to `last`, both included."""

    version: int
    first: int
    last: int
    count: int
    reason: str


@dataclass(frozen=True)
class Happened:
    """An event, as the service stores it."""

    trigger_id: int
    kind: str
    is_test: bool
    triggered_at: int
    scheduled_for: int | None


@dataclass
class Trigger:
    """A trigger, alive or deleted; every instant up to `decided` has an outcome."""

    id: int
    details: dict[str, Any]
    anchor: int
    decided: int
    plan: Plan
    status: str = "active"
    plans: list[Plan] = field(default_factory=list)  # of version 1, 2, …
    fired: list[int] = field(default_factory=list)
    unfired: list[tuple[int, str, Instants]] = field(default_factory=list)
    calls: int = 0
    last_fired_at: int | None = None
    happened: list[Happened] = field(default_factory=list)  # since somebody looked

    def __post_init__(self) -> None:
        self.plans.append(self.plan)
        self.plan_next()

    @property
    def version(self) -> int:
        return len(self.plans)

    @property
    def left(self) -> int | None:
        return None if self.plan.max_fires is None else self.plan.max_fires - len(self.fired)

    @property
    def next_fire_at(self) -> int | None:
        return self.plan.following(self.decided) if self.status == "active" else None

    def plan_next(self) -> None:
        exhausted = self.left is not None and self.left <= 0
        over = exhausted or self.plan.following(self.decided) is None
        self.status = "completed" if over else "active"

    def decide(self, now: int) -> Decision:
        due = self.plan.between(self.decided, now) if self.status == "active" else NONE
        if not due:
            return Decision()
        late = bisect_left(due, now - GRACE)  # so many are missed; the others fire in any case
        old = min(late, bisect_left(due, now - self.plan.looks_back))
        if self.plan.catch_up == "none":
            return Decision(due[late:][: self.left], (("missed", due[:late]),))
        if self.plan.catch_up == "latest":
            newest = max(old, late - 1)
            parts = (("expired", due[:old]), ("coalesced", due[old:newest]))
            return Decision(due[newest:][: self.left], parts)
        old = max(old, late - MOST)
        return Decision(due[old:][: self.left], (("expired", due[:old]),))

    def fire(self, decision: Decision, count: int, *, now: int) -> None:
        """Records a decision, and fires the first `count` of its instants."""
        fires = decision.fires[:count]
        recorded = [instants[-1] for _, instants in decision.unfired if instants]
        if not fires and not recorded:
            return
        for reason, instants in decision.unfired:
            self.record(reason, instants)
        for instant in fires:
            self.fired.append(instant)
            self.happened.append(Happened(self.id, "scheduled", False, now, instant))
            self.last_fired_at = now
        self.decided = fires[-1] if fires else max(recorded)
        self.plan_next()

    def call(self, *, is_test: bool, now: int) -> None:
        self.happened.append(Happened(self.id, "api", is_test, now, None))
        if not is_test:
            self.calls += 1
            self.last_fired_at = now

    def settle(self, reason: str, *, now: int) -> None:
        """Records due instants as not fired, for this reason."""
        if self.status != "completed":
            paused = self.status == "paused"
            self.record("paused" if paused else reason, self.plan.between(self.decided, now))
        self.decided = now

    def record(self, reason: str, instants: Instants) -> None:
        if instants:
            self.unfired.append((self.version, reason, instants))

    def pause(self, *, now: int) -> None:
        self.settle("paused", now=now)
        self.status = "paused"

    def resume(self, *, now: int) -> None:
        self.settle("paused", now=now)
        self.plan_next()

    def delete(self, *, now: int) -> None:
        self.settle("deleted", now=now)
        self.status = "deleted"

    def change(self, details: dict[str, Any], *, now: int) -> None:
        """Replaces the schedule now; due instants stay due if both schedules plan the same ones."""
        plan = plan_of(details, anchor=self.anchor)
        assert plan is not None
        self.details = details
        if plan == self.plan:
            return
        same_grid = plan.grid == self.plan.grid
        if not (same_grid and self._stays_due(plan, now=now)):
            self.settle("replaced", now=now)
        if not same_grid:
            self.anchor = now
            plan = plan_of(details, anchor=now)
            assert plan is not None
        self.plan = plan
        self.plans.append(plan)
        if self.status != "paused":
            self.plan_next()

    def _stays_due(self, plan: Plan, *, now: int) -> bool:
        due = self.plan.between(self.decided, now) if self.status == "active" else NONE
        fewer = plan.max_fires is not None and (
            self.plan.max_fires is None or plan.max_fires < self.plan.max_fires
        )
        return bool(due) and due == plan.between(self.decided, now) and not fewer

    def ledger(self, now: int) -> Iterator[tuple[str, Instants]]:
        """Gives every planned instant up to now, by outcome."""
        yield "fired", self.fired
        for _, reason, instants in self.unfired:
            yield reason, instants
        if self.status == "paused":
            yield "paused", self.plan.between(self.decided, now)
        decision = self.decide(now)
        yield "pending", decision.fires
        for _, instants in decision.unfired:
            yield "pending", instants

    def account(self, *, since: int, until: int, now: int) -> Counter[str]:
        """Counts the instants of [since, until) by outcome."""
        sums: Counter[str] = Counter()
        for outcome, instants in self.ledger(now):
            sums[outcome] += bisect_left(instants, until) - bisect_left(instants, since)
        return +sums

    def outcome(self, at: int, *, now: int) -> str:
        for outcome, instants in self.ledger(now):
            if at in instants:
                return outcome
        if at <= now or self.plan.following(at - 1) != at or at <= self.decided:
            return "not_scheduled"
        if self.status == "paused":
            return "paused"
        if self.status == "completed":
            return "not_scheduled"
        left = None if self.left is None else self.left - len(self.decide(now).fires)
        over = left is not None and len(self.plan.between(now, at)) > left
        return "not_scheduled" if over else "pending"

    def stretches(self) -> list[Unfired]:
        """Gives the instants on record as not fired, in the fewest ranges."""
        parts = [
            Unfired(version, instants[0], instants[-1], len(instants), reason)
            for version, reason, instants in self.unfired
        ]
        return joined(parts, self.plans)


def joined(parts: list[Unfired], plans: Sequence[Plan]) -> list[Unfired]:
    """Joins neighbouring ranges of the same version and reason."""
    found: list[Unfired] = []
    for one in sorted(parts, key=lambda each: (each.version, each.first)):
        before = found[-1] if found else None
        if (
            before is not None
            and (before.version, before.reason) == (one.version, one.reason)
            and plans[one.version - 1].following(before.last) == one.first
        ):
            count = before.count + one.count
            found[-1] = Unfired(one.version, before.first, one.last, count, one.reason)
        else:
            found.append(one)
    return found
