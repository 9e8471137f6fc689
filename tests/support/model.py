"""Predicts the outcome of every planned instant, in integers and without the service's rules."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.model_plans import GRACE, NONE, Instants, Plan, plan_of

MOST = 1000


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
        self.decided = max(now, self.decided)

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

    def change(self, details: dict[str, Any], *, shift: int, now: int) -> None:
        """Replaces the schedule now; due instants stay due if both schedules plan the same ones."""
        plan = plan_of(details, anchor=self.anchor, shift=shift)
        assert plan is not None
        self.details = details
        if plan == self.plan:
            return
        same_grid = plan.grid == self.plan.grid
        if not (same_grid and self._stays_due(plan, now=now)):
            self.settle("replaced", now=now if same_grid else plan.settled_at(now))
        if not same_grid:
            self.anchor = now
            plan = plan_of(details, anchor=now, shift=shift)
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
        if at <= now or at <= self.decided:
            return "not_scheduled"
        if self.plan.following(at - 1) != at:
            return "excepted" if self.plan.excepts(at) else "not_scheduled"
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
