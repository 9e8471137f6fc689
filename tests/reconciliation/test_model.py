"""After any operations in any order, every planned instant has its event or its reason.

`MODEL_EXAMPLES=2000 MODEL_STEPS=60` in the environment searches longer, from a new seed each time.
"""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import httpx
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from event_trigger.reconciliation.verify import verify
from tests.support.clock import make_still_template
from tests.support.model import Happened, Trigger, Unfired, joined
from tests.support.model_plans import (
    CIVIL,
    CRONS,
    DAY,
    EXCEPTIONS,
    HOUR,
    INTERVALS,
    MINUTE,
    OFFSET,
    RULES,
    SECOND,
    SPREADS,
    START,
    ZONE,
    micros,
    moment,
    plan_of,
)
from tests.support.still import KEEP_FOR, StillService

T = TypeVar("T")

LONG = "MODEL_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "8"))
STEPS = int(os.environ.get("MODEL_STEPS", "40"))
ALL_TIME = 60 * DAY  # nothing is purged: when, is tested elsewhere
AT_ONCE = 2 * DAY
MOST_TRIGGERS = 4
OUTCOMES = {"replaced": "missed", "deleted": "missed"}  # what `explain` calls them

offsets = st.sampled_from(
    [-DAY, -90 * SECOND, -3 * SECOND, 0, SECOND, 10 * MINUTE, HOUR + 1, 2 * DAY]
)
catch_ups = st.sampled_from(["latest", "all", "none"])
windows = st.sampled_from([0, 0.05, 1, 10, 60, 5000])
limits = st.sampled_from([1, 1, 2, 40])
lines = st.sampled_from(list(CRONS))
exceptions = st.lists(st.sampled_from(EXCEPTIONS), min_size=1, max_size=3, unique=True)
spreads = st.sampled_from(list(SPREADS))
KINDS = ["interval", "grid", "cron", "rule", "civil", "once", "local", "delay"]
steps = st.sampled_from(
    [1, SECOND, 5 * SECOND, 6 * SECOND, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, 30 * HOUR]
)
late = st.sampled_from([-1, 0, 1, SECOND, 5 * SECOND, 5 * SECOND + 1, MINUTE, HOUR])
# where a process dies: before it claims, writes events or reasons, or moves a trigger on
LOCKS = ["triggers IN EXCLUSIVE", "events IN SHARE", "unfired_ranges IN SHARE", "triggers IN SHARE"]
locks = st.sampled_from(LOCKS)
ends = st.sampled_from(["all", "all", "replicas", "restart", "some", "nothing", "nothing", *LOCKS])


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    """Draws details whose instants are microseconds from now."""
    kind = draw(st.sampled_from(KINDS))
    details: dict[str, Any] = {}
    if kind == "cron":
        details["cron"] = draw(lines | st.lists(lines, min_size=1, max_size=3))
    if kind == "rule":
        details["rrule"] = draw(st.sampled_from(list(RULES)))
    if kind == "civil":
        details["interval"] = draw(st.sampled_from(list(CIVIL)))
    if kind in {"interval", "grid", "delay"}:
        details["interval"] = draw(st.sampled_from(list(INTERVALS)))
    if kind in {"interval", "grid", "civil"}:
        details["recurring"] = True
    if kind in {"grid", "once", "rule", "civil", "local"}:
        details["time"] = draw(offsets)
    if kind in {"rule", "civil", "local"}:
        details["timezone"] = ZONE
    optional: dict[str, Any] = {"catch_up_window": windows}
    if kind not in {"once", "local", "delay"} and draw(st.booleans()):
        optional |= {"from": offsets, "until": offsets, "max_fires": limits, "except": exceptions}
        if kind in {"rule", "civil"}:
            optional["spread"] = spreads
    policy = {"catch_up": catch_ups}
    whole = details | draw(st.fixed_dictionaries(policy, optional=optional))
    if "from" in whole and whole["from"] > whole.get("until", whole["from"]):
        del whole["from"]  # is refused
    return whole


parts = st.fixed_dictionaries(
    {},
    optional={
        "catch_up": catch_ups,
        "catch_up_window": windows,
        "max_fires": st.none() | limits,
        "from": st.none() | offsets,
        "until": st.none() | offsets,
        "except": st.none() | exceptions,
        "spread": st.none() | spreads,
    },
)


class Accounts(RuleBasedStateMachine):
    """Runs the service and the model side by side."""

    server_url: str
    template: str

    triggers: Bundle[int] = Bundle("triggers")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.now = micros(START)
        self.model: dict[int, Trigger] = {}
        self.seen = 0  # the last event that was looked at
        self.turn = 0
        self.service = self.run(StillService.open(self.server_url, template=self.template))
        self.run(self.service.set_clock(START))

    def teardown(self) -> None:
        self.run(self.service.close())
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def alive(self) -> list[Trigger]:
        return [one for one in self.model.values() if one.status != "deleted"]

    # what happens

    @initialize(target=triggers, made=st.lists(schedules(), min_size=3, max_size=3))
    def begin(self, made: list[dict[str, Any]]) -> MultipleResults[int]:
        policies = ("latest", "all", "none")
        return multiple(
            *[
                self._create(schedule | {"catch_up": policy})
                for schedule, policy in zip(made, policies, strict=True)
            ]
        )

    @precondition(lambda self: len(self.alive) < MOST_TRIGGERS)
    @rule(target=triggers, schedule=schedules())
    def create(self, schedule: dict[str, Any]) -> int:
        return self._create(schedule)

    @rule(trigger=triggers, schedule=schedules())
    def replace(self, trigger: int, schedule: dict[str, Any]) -> None:
        self._patch(trigger, self._instead(trigger, schedule))

    @rule(trigger=triggers, part=parts)
    def change(self, trigger: int, part: dict[str, Any]) -> None:
        respelt = {1: "PT60S", "PT60S": 1}.get(self.model[trigger].details.get("interval", 0))
        again = {} if respelt is None else {"interval": respelt}
        self._patch(trigger, self._dated(part) | again)

    @rule(trigger=triggers)
    def pause(self, trigger: int) -> None:
        model = self.model[trigger]
        self._post(f"/triggers/{trigger}/pause", refused=model.status == "completed")
        if model.status == "active":
            model.pause(now=self.now)

    @rule(trigger=triggers)
    def resume(self, trigger: int) -> None:
        model = self.model[trigger]
        self._post(f"/triggers/{trigger}/resume", refused=model.status == "completed")
        if model.status == "paused":
            model.resume(now=self.now)

    @rule(trigger=triggers, is_test=st.booleans())
    def call(self, trigger: int, is_test: bool) -> None:
        model = self.model[trigger]
        refused = model.status == "paused" and not is_test
        self._post(f"/triggers/{trigger}/{'test' if is_test else 'trigger'}", refused=refused)
        if not refused:
            model.call(is_test=is_test, now=self.now)

    @rule(trigger=consumes(triggers))
    def delete(self, trigger: int) -> None:
        answer = self.run(self.service.send("DELETE", f"/triggers/{trigger}"))
        assert answer.status_code == 204, answer.text
        self.model[trigger].delete(now=self.now)

    @rule(by=steps, end=ends)
    def advance(self, by: int, end: str) -> None:
        self._advance_to(self.now + by)
        self._fire(end)

    @rule(trigger=triggers, by=late, end=ends)
    def advance_to_next(self, trigger: int, by: int, end: str) -> None:
        instant = self.model[trigger].next_fire_at
        if instant is not None:
            self._advance_to(instant + by)
        self._fire(end)

    @rule(trigger=triggers, by=st.sampled_from([0, 0, -1, 1]), end=ends)
    def advance_to_the_edge_of_the_window(self, trigger: int, by: int, end: str) -> None:
        model = self.model[trigger]
        if model.next_fire_at is not None:
            self._advance_to(model.next_fire_at + model.plan.looks_back + by)
        self._fire(end)

    @rule(trigger=triggers, lock=locks, schedule=schedules())
    def crash_in_an_edit(self, trigger: int, lock: str, schedule: dict[str, Any]) -> None:
        self._patch(trigger, self._instead(trigger, schedule), lock=lock)

    # what must be so

    @invariant()
    def the_tables_agree(self) -> None:
        self.run(self._compare())

    @invariant()
    def an_account_agrees(self) -> None:
        self.turn += 1
        if self.alive and self.turn % 3 == 0:  # a request costs as much as all else in a step
            model = self.alive[self.turn % len(self.alive)]
            self._compare_account(model, since=micros(START) - DAY, until=self.now)

    @rule(trigger=triggers, span=st.tuples(offsets, offsets), data=st.data())
    def look(self, trigger: int, span: tuple[int, int], data: st.DataObject) -> None:
        model = self.model[trigger]
        since, until = sorted(self.now - 2 * offset for offset in span)
        self._compare_account(model, since=since, until=until)
        for at in data.draw(st.lists(st.sampled_from(self._instants(model)), max_size=5)):
            outcome = model.outcome(at, now=self.now)
            found = self.run(self.service.get(f"/triggers/{trigger}/explain", at=text(at)))
            if found["outcome"] == "excepted" and outcome == "not_scheduled":  # of a former version
                assert any(plan.excepts(at) for plan in model.plans), (text(at), found)
                outcome = "excepted"
            assert found["outcome"] == OUTCOMES.get(outcome, outcome), (text(at), found)
            planned = outcome not in {"not_scheduled", "excepted"}
            assert found["scheduled_for"] == (text(at) if planned else None), found
            assert (found["event_id"] is not None) == (outcome == "fired"), found

    @precondition(lambda self: self.turn % 5 == 0)
    @rule()
    def audit_everything(self) -> None:
        sums: Counter[str] = Counter()
        for model in self.model.values():
            sums += model.account(since=0, until=self.now, now=self.now)

        found = self.run(verify(self.service.sessions, keep_for=KEEP_FOR))

        assert found.findings == []
        assert found.triggers == len(self.model)
        counted: Counter[str] = Counter(fired=found.totals.fired, pending=found.pending)
        for reason, count in found.totals.unfired.items():
            counted[reason] += count
        assert +counted == sums
        assert found.totals.planned == sums.total()

    # how

    def _create(self, schedule: dict[str, Any]) -> int:
        details = self._dated(schedule)
        body = {"type": "scheduled", "details": details}
        answer = self.run(self.service.send("POST", "/triggers", body))
        assert answer.status_code == 201, answer.text
        number: int = answer.json()["id"]
        plan = plan_of(details, anchor=self.now, shift=self._shift_of(number, details))
        assert plan is not None
        decided = plan.settled_at(self.now)
        self.model[number] = Trigger(number, details, self.now, decided, plan)
        return number

    def _shift_of(self, trigger: int, details: dict[str, Any]) -> int:
        """Reads the constant that the service has chosen, of which the model knows the limits."""
        query = "SELECT coalesce(shift_seconds, 0) FROM triggers WHERE id = $1"
        shift: int = SECOND * self.run(self.service.database.fetchval(query, trigger))
        assert 0 <= shift < SPREADS[details["spread"]] if "spread" in details else shift == 0
        return shift

    def _fire(self, end: str) -> None:
        """Fires all due instants, or as many as it can; `end` may be where it dies."""
        if end == "restart":
            self.run(self.service.restart())
        if end in {"all", "replicas", "restart"}:
            self.run(self.service.fire_all(replicas=2 if end == "replicas" else 1))
            for model in self.alive:
                decision = model.decide(self.now)
                model.fire(decision, len(decision.fires), now=self.now)
        elif end == "some":
            self.run(self.service.fire_once())
            self.run(self._follow())
        elif end != "nothing":
            self.run(self.service.kill_where_locked(end, self.service.fire_once()))
            self.run(self._follow())

    def _dated(self, schedule: dict[str, Any]) -> dict[str, Any]:
        instants = {
            name: text(self.now + schedule[name])
            for name in ("time", "from", "until")
            if schedule.get(name) is not None
        }
        if schedule.get("timezone") is not None:
            instants["time"] = local_text(self.now + schedule["time"])
        return schedule | instants

    def _instead(self, trigger: int, schedule: dict[str, Any]) -> dict[str, Any]:
        return dict.fromkeys(self.model[trigger].details) | self._dated(schedule)

    def _patch(self, trigger: int, details: dict[str, Any], *, lock: str | None = None) -> None:
        model = self.model[trigger]
        both = model.details | details
        merged = {name: value for name, value in both.items() if value is not None}
        readable = plan_of(merged, anchor=model.anchor) is not None
        sent = self.service.send("PATCH", f"/triggers/{trigger}", {"details": details})
        killed, answer = (
            (0, self.run(sent))
            if lock is None
            else self.run(self.service.kill_where_locked(lock, sent))
        )
        assert isinstance(answer, httpx.Response), answer
        assert answer.status_code == (503 if killed else 200 if readable else 422), answer.text
        if answer.status_code == 200:
            model.change(merged, shift=self._shift_of(trigger, merged), now=self.now)

    def _post(self, path: str, *, refused: bool) -> None:
        answer = self.run(self.service.send("POST", path))
        assert answer.status_code == (409 if refused else 200), answer.text

    def _advance_to(self, instant: int) -> None:
        if self.now < instant <= min(micros(START) + ALL_TIME, self.now + AT_ONCE):
            self.now = instant
            self.run(self.service.set_clock(moment(instant)))

    async def _follow(self) -> None:
        """Makes the model fire as the service did, which chooses the size of its batches."""
        database = self.service.database
        rows = await database.fetch("SELECT id, settled_until FROM triggers")
        fired = await database.fetch(
            "SELECT trigger_id, count(*) FROM events WHERE id > $1 GROUP BY 1", self.seen
        )
        counts = {row["trigger_id"]: row["count"] for row in fired}
        for number, settled_until in rows:
            model = self.model[number]
            if micros(settled_until) != model.decided:
                model.fire(model.decide(self.now), counts.get(number, 0), now=self.now)

    async def _compare(self) -> None:
        database = self.service.database
        found = [row_of(row) for row in await database.fetch("SELECT * FROM triggers ORDER BY id")]
        assert found == [expected_row(one) for one in self.alive]
        happened = defaultdict[int, list[Happened]](list)
        for row in await database.fetch(
            "SELECT * FROM events WHERE id > $1 ORDER BY id", self.seen
        ):
            self.seen = row["id"]
            happened[row["trigger_id"]].append(event_of(row))
        ranges = defaultdict[int, list[Unfired]](list)
        for row in await database.fetch("SELECT * FROM unfired_ranges"):
            ranges[row["trigger_id"]].append(self._stretch_of(row))
        for number, model in self.model.items():
            assert happened.pop(number, []) == model.happened
            model.happened = []
            assert joined(ranges.pop(number, []), model.plans) == model.stretches()
        assert not happened
        assert not ranges

    def _stretch_of(self, row: Any) -> Unfired:
        """Reads a range on record, and checks it against the schedule."""
        first, last = micros(row["first_at"]), micros(row["last_at"])
        plan = self.model[row["trigger_id"]].plans[row["version"] - 1]
        planned = plan.between(first - 1, last)
        assert (planned[0], planned[-1], len(planned)) == (first, last, row["count"]), row
        return Unfired(row["version"], first, last, row["count"], row["reason"])

    def _compare_account(self, model: Trigger, *, since: int, until: int) -> None:
        query = {"since": text(since), "until": text(until)}
        found = self.run(self.service.get(f"/triggers/{model.id}/accounting", **query))
        sums = model.account(since=since, until=min(until, self.now), now=self.now)
        counted = {**found["unfired"], "fired": found["fired"], "pending": found["pending"]}
        assert {key: count for key, count in counted.items() if count} == sums, found
        assert found["planned"] == sums.total()
        assert found["balanced"], found["differences"]

    def _instants(self, model: Trigger) -> list[int]:
        """Gives the instants to explain: the ends of each outcome's instants, and around them."""
        found = {model.anchor, model.decided, self.now}
        for _, instants in model.ledger(self.now):
            found.update([*instants[:2], *instants[-2:]])
        for plan in model.plans:
            found.update(plan.between(model.decided, self.now + HOUR)[:5])
            found.update(plan.between(self.now, self.now + HOUR)[:5])
            unlimited = replace(plan, excepted=frozenset())
            around = unlimited.between(self.now - HOUR, self.now + DAY)
            found.update([at for at in around if plan.excepts(at)][:2])
        return sorted(found | {at + 1 for at in found} | {at - 1 for at in found})


def text(instant: int) -> str:
    return moment(instant).isoformat().replace("+00:00", "Z")


def local_text(instant: int) -> str:
    """Writes the local time of an instant, without an offset, in whole seconds."""
    return (moment(instant) + OFFSET).replace(microsecond=0, tzinfo=None).isoformat()


def row_of(row: Any) -> tuple[Any, ...]:
    names = ("id", "status", "version", "fire_count", "next_fire_at", "last_fired_at")
    return tuple(row[name] for name in names)


def expected_row(one: Trigger) -> tuple[Any, ...]:
    instants = [moment_or_none(at) for at in (one.next_fire_at, one.last_fired_at)]
    return (one.id, one.status, one.version, len(one.fired) + one.calls, *instants)


def moment_or_none(instant: int | None) -> datetime | None:
    return None if instant is None else moment(instant)


def event_of(row: Any) -> Happened:
    planned = row["scheduled_for"]
    return Happened(
        row["trigger_id"],
        row["type"],
        row["is_test"],
        micros(row["triggered_at"]),
        None if planned is None else micros(planned),
    )


def test_every_planned_instant_has_its_event_or_its_reason(
    server_url: str, template_without_partitions: str
) -> None:
    Accounts.server_url = server_url
    Accounts.template = asyncio.run(
        make_still_template(server_url, template=template_without_partitions, start=START)
    )

    run_state_machine_as_test(
        Accounts,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not LONG,
            phases=[Phase.reuse, Phase.generate, Phase.shrink] if LONG else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
