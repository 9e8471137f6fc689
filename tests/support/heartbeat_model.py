"""Predicts what a heartbeat is and tells, in integers and without the service's arithmetic.

Instants are microseconds since 1970, as in `model_plans.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.model_plans import DAY, HOUR, MINUTE, NONE, SECOND, Instants, plan_of

GRACES = {"PT1S": SECOND, "PT5M": 5 * MINUTE, "PT2H": 2 * HOUR}
PERIODS: dict[str | int, int] = {"PT30S": 30 * SECOND, 60: HOUR, "P1D": DAY}
CRONS = ("*/20 * * * *", "0 9,17 * * mon-fri")
EARLY = MINUTE


@dataclass(frozen=True)
class Rhythm:
    """How often a ping is expected, and how late it may come."""

    details: dict[str, str | int]
    grace: int
    expected_after: Callable[[int], int]

    def deadline_after(self, base: int) -> int:
        return self.expected_after(base) + self.grace


def every(interval: str | int, grace: str) -> Rhythm:
    details = {"interval": interval, "grace": grace}
    return Rhythm(details, GRACES[grace], lambda base: base + PERIODS[interval])


def matching(line: str, grace: str) -> Rhythm:
    plan = plan_of({"cron": line}, anchor=0)
    assert plan is not None

    def expected_after(base: int) -> int:
        following = plan.following(base)
        assert following is not None
        return following

    return Rhythm({"cron": line, "grace": grace}, GRACES[grace], expected_after)


@dataclass(frozen=True)
class Told:
    """An event of a heartbeat: its state, why, and the deadline that it missed, if it did."""

    state: str
    reason: str
    deadline: int | None


@dataclass
class Heartbeat:
    """A heartbeat, alive or deleted; `base` is None if no ping is expected."""

    id: int
    token: str
    rhythm: Rhythm
    base: int | None = None
    last_ping: int | None = None
    started: int | None = None
    silent_since: int | None = None
    is_paused: bool = False
    is_deleted: bool = False
    changed_at: int = 0
    told: list[Told] = field(default_factory=list)  # since somebody looked
    count: int = 0
    missed: list[int] = field(default_factory=list)

    @property
    def deadline(self) -> int | None:
        """The instant from which it is silent, unless it is paused."""
        if self.is_paused or self.base is None:
            return None
        return self.rhythm.deadline_after(self.base)

    @property
    def instants(self) -> Instants:
        return NONE if self.deadline is None else [self.deadline]

    def status(self, now: int) -> str:
        if self.is_paused:
            return "paused"
        if self.silent_since is not None:
            return "silent"
        if self.base is None:
            return "waiting"
        return "late" if now > self.rhythm.expected_after(self.base) else "alive"

    def ping(self, signal: str, *, now: int) -> None:
        if self.is_paused:
            return
        if signal == "start":
            if self.base is None and self.silent_since is None:
                self.base = now
            self.started = now
            return
        fails = signal not in {"", "0"}
        self.last_ping, self.started = now, None
        if fails and self.silent_since is None:
            self.tell("silent", "failed" if signal == "fail" else "exit_code", None)
            self.silent_since, self.base = now, None
        elif not fails:
            if self.silent_since is not None:
                self.tell("alive", "pinged", None)
            self.silent_since, self.base = None, now

    def tell(self, state: str, reason: str, deadline: int | None) -> None:
        self.told.append(Told(state, reason, deadline))
        self.count += 1

    def fire(self, outages: list[tuple[int, int]], *, now: int) -> None:
        """Decides on deadlines that have passed, one after the other."""
        while (deadline := self.deadline) is not None and deadline <= now:
            assert self.base is not None
            expected = self.rhythm.expected_after(self.base)
            since = max(self.base, expected - max(self.rhythm.grace, EARLY))
            deaf = [until for begin, until in outages if begin < deadline and until > since]
            if not deaf:
                self.tell("silent", "no_ping", deadline)
                self.silent_since, self.base = now, None
                return
            self.missed.append(deadline)
            self.base = max(deaf)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self, *, now: int) -> None:
        if self.is_paused:
            self.is_paused = False
            self.renew(now)

    def change(self, rhythm: Rhythm, *, now: int) -> None:
        if rhythm.details != self.rhythm.details:
            self.rhythm = rhythm
            if not self.is_paused:
                self.renew(now)

    def renew(self, now: int) -> None:
        if self.base is not None:
            self.base = now
