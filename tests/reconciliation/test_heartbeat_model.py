"""After any pings, silences, outages and changes in any order, heartbeats tell what happened.

`MODEL_EXAMPLES=2000 MODEL_STEPS=60` in the environment searches longer, from a new seed each time.
"""

import asyncio
import json
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from event_trigger.models import UnfiredReason
from event_trigger.reconciliation.verify import verify
from tests.support.clock import make_still_template
from tests.support.heartbeat_model import CRONS, GRACES, PERIODS, Heartbeat, Rhythm, every, matching
from tests.support.model_plans import DAY, HOUR, MINUTE, SECOND, START, micros, moment
from tests.support.still import KEEP_FOR, StillService

T = TypeVar("T")

LONG = "MODEL_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "6"))
STEPS = int(os.environ.get("MODEL_STEPS", "40"))
MOST_HEARTBEATS = 3
DOWN_AFTER = 5 * SECOND

rhythms = st.one_of(
    st.builds(every, st.sampled_from(list(PERIODS)), st.sampled_from(list(GRACES))),
    st.builds(matching, st.sampled_from(CRONS), st.sampled_from(list(GRACES))),
)
signals = st.sampled_from(["", "", "", "start", "fail", "0", "7"])
steps = st.sampled_from([1, SECOND, 4 * SECOND, 31 * SECOND, 6 * MINUTE, HOUR, 3 * HOUR, DAY])
near = st.sampled_from([-1, 0, 1, SECOND, MINUTE])
LOCKS = ["triggers IN EXCLUSIVE", "events IN SHARE", "heartbeat_changes IN SHARE"]
ends = st.sampled_from(["all", "all", "replicas", "restart", "nothing", *LOCKS])


class Heartbeats(RuleBasedStateMachine):
    """Runs the service and the model side by side."""

    server_url: str
    template: str

    beats: Bundle[int] = Bundle("beats")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.now = micros(START)
        self.model: dict[int, Heartbeat] = {}
        self.outages: list[tuple[int, int]] = []
        self.seen = 0
        self.turn = 0
        self.service = self.run(StillService.open(self.server_url, template=self.template))
        self.run(self.service.set_clock(START))
        self.run(self._beat())

    def teardown(self) -> None:
        self.run(self.service.close())
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def alive(self) -> list[Heartbeat]:
        return [one for one in self.model.values() if not one.is_deleted]

    # what happens

    @initialize(target=beats, rhythm=rhythms)
    def begin(self, rhythm: Rhythm) -> int:
        return self._create(rhythm)

    @precondition(lambda self: len(self.alive) < MOST_HEARTBEATS)
    @rule(target=beats, rhythm=rhythms)
    def create(self, rhythm: Rhythm) -> int:
        return self._create(rhythm)

    @rule(beat=beats, signal=signals)
    def ping(self, beat: int, signal: str) -> None:
        model = self.model[beat]
        path = f"/hooks/{model.token}" + (f"/{signal}" if signal else "")
        answer = self.run(self.service.send("GET", path))
        assert answer.status_code == (202 if model.is_paused else 200), answer.text
        model.ping(signal, now=self.now)

    @rule(beat=beats, count=st.integers(2, 4), signal=signals)
    def storm(self, beat: int, count: int, signal: str) -> None:
        """Several pings at once share a transaction, and count one after the other."""
        model = self.model[beat]
        path = f"/hooks/{model.token}" + (f"/{signal}" if signal else "")

        async def send_all() -> None:
            sent = [self.service.send("GET", path) for _ in range(count)]
            for answer in await asyncio.gather(*sent):
                assert answer.status_code == (202 if model.is_paused else 200), answer.text

        self.run(send_all())
        for _ in range(count):
            model.ping(signal, now=self.now)

    @rule(beat=beats)
    def pause(self, beat: int) -> None:
        self._post(f"/triggers/{beat}/pause")
        self.model[beat].pause()

    @rule(beat=beats)
    def resume(self, beat: int) -> None:
        self._post(f"/triggers/{beat}/resume")
        self.model[beat].resume(now=self.now)

    @rule(beat=beats, rhythm=rhythms)
    def change(self, beat: int, rhythm: Rhythm) -> None:
        model = self.model[beat]
        body = {"type": "heartbeat", "details": rhythm.details}
        answer = self.run(self.service.send("PUT", f"/triggers/{beat}", body))
        assert answer.status_code == 200, answer.text
        model.change(rhythm, now=self.now)

    @rule(beat=beats)
    def call(self, beat: int) -> None:
        """Fires by hand, which is no ping and makes an event of a call."""
        model = self.model[beat]
        answer = self.run(self.service.send("POST", f"/triggers/{beat}/trigger"))
        assert answer.status_code == (409 if model.is_paused else 200), answer.text
        model.count += not model.is_paused

    @rule(beat=consumes(beats))
    def delete(self, beat: int) -> None:
        answer = self.run(self.service.send("DELETE", f"/triggers/{beat}"))
        assert answer.status_code == 204, answer.text
        self.model[beat].is_deleted = True

    @rule(by=steps, end=ends)
    def advance(self, by: int, end: str) -> None:
        self._advance_to(self.now + by, is_up=True)
        self._fire(end)

    @rule(beat=beats, by=near, end=ends)
    def advance_to_the_deadline(self, beat: int, by: int, end: str) -> None:
        deadline = self.model[beat].deadline
        if deadline is not None:
            self._advance_to(deadline + by, is_up=True)
        self._fire(end)

    @rule(by=steps, notes=st.booleans())
    def be_down(self, by: int, notes: bool) -> None:
        """Lets time pass without a process; the dispatcher may look before an outage is noted."""
        self._advance_to(self.now + by, is_up=False)
        if by > DOWN_AFTER:
            self.outages.append((self.now - by, self.now))
        if not notes:
            self._fire("all")
        self.run(self.service.beat())
        self._fire("all")

    # what must be so

    @invariant()
    def the_tables_agree(self) -> None:
        self.run(self._compare())

    @precondition(lambda self: self.turn % 3 == 0)
    @rule(beat=beats)
    def look(self, beat: int) -> None:
        model = self.model[beat]
        shown = self.run(self.service.get(f"/triggers/{beat}"))
        assert shown["heartbeat"]["status"] == model.status(self.now), shown
        assert shown["next_fire_at"] == _text(model.deadline), shown
        account = self.run(self.service.get(f"/triggers/{beat}/accounting"))
        assert account["balanced"], account["differences"]
        if model.deadline is not None:
            found = self.run(
                self.service.get(f"/triggers/{beat}/explain", at=str(_text(model.deadline)))
            )
            assert found["outcome"] == "pending", found
        for deadline in model.missed[-2:]:
            found = self.run(self.service.get(f"/triggers/{beat}/explain", at=str(_text(deadline))))
            assert found["outcome"] == "missed", found

    @precondition(lambda self: self.turn % 5 == 0)
    @rule()
    def verify_everything(self) -> None:
        found = self.run(verify(self.service.sessions, keep_for=KEEP_FOR))
        assert found.findings == []
        told = self.model.values()
        assert found.totals.unfired[UnfiredReason.MISSED] == sum(
            len(one.missed) for one in told if not one.is_deleted
        )

    # how

    def _create(self, rhythm: Rhythm) -> int:
        body = {"type": "heartbeat", "details": rhythm.details}
        answer = self.run(self.service.send("POST", "/triggers", body))
        assert answer.status_code == 201, answer.text
        number: int = answer.json()["id"]
        token = answer.json()["hook_url"].rpartition("/")[2]
        self.model[number] = Heartbeat(number, token, rhythm)
        return number

    def _post(self, path: str) -> None:
        answer = self.run(self.service.send("POST", path))
        assert answer.status_code == 200, answer.text

    def _advance_to(self, instant: int, *, is_up: bool) -> None:
        if instant <= self.now:
            return
        self.now = instant
        self.run(self.service.set_clock(moment(instant)))
        if is_up:
            self.run(self._beat())

    async def _beat(self) -> None:
        """Imitates a service that has run all the time up to now."""
        await self.service.database.execute("UPDATE service_beats SET beat_at = now()")

    def _fire(self, end: str) -> None:
        if end == "restart":
            self.run(self.service.restart())
        if end in LOCKS:
            self.run(self.service.kill_where_locked(end, self.service.fire_once()))
            self.run(self._follow())
        elif end != "nothing":
            self.run(self.service.fire_all(replicas=2 if end == "replicas" else 1))
            for model in self.alive:
                model.fire(self.outages, now=self.now)

    async def _follow(self) -> None:
        """Makes the model fire the heartbeats that were judged before the process died."""
        rows = await self.service.database.fetch(
            "SELECT id, silent_since, settled_until FROM triggers"
        )
        for row in rows:
            model = self.model[row["id"]]
            was_judged = (row["silent_since"] is None) != (model.silent_since is None)
            if was_judged:
                model.fire(self.outages, now=self.now)

    async def _compare(self) -> None:
        self.turn += 1
        database = self.service.database
        rows = await database.fetch("SELECT * FROM triggers ORDER BY id")
        assert [row["id"] for row in rows] == [one.id for one in self.alive]
        for row in rows:
            model = self.model[row["id"]]
            assert (row["last_ping_at"], row["run_started_at"], row["silent_since"]) == tuple(
                None if at is None else moment(at)
                for at in (model.last_ping, model.started, model.silent_since)
            )
            assert row["fire_count"] == model.count
            assert (row["next_fire_at"] is None) == (model.deadline is None)
            if model.deadline is not None:  # an index that pings write once a minute
                late = model.deadline - micros(row["next_fire_at"])
                assert 0 <= late < MINUTE or row["next_fire_at"] <= moment(self.now)
        told: dict[int, list[tuple[str, str, int | None]]] = {}
        for row in await database.fetch(
            "SELECT * FROM events WHERE id > $1 ORDER BY id", self.seen
        ):
            self.seen = row["id"]
            if row["type"] == "heartbeat":
                payload, at = json.loads(row["payload"]), row["scheduled_for"]
                deadline = None if at is None else micros(at)
                happened = told.setdefault(row["trigger_id"], [])
                happened.append((payload["state"], payload["reason"], deadline))
        for number, model in self.model.items():
            expected = [(one.state, one.reason, one.deadline) for one in model.told]
            assert told.pop(number, []) == expected
            model.told = []
        assert not told
        missed = await database.fetch("SELECT trigger_id, first_at FROM unfired_ranges ORDER BY id")
        assert sorted((one, micros(at)) for one, at in missed) == sorted(
            (one.id, at) for one in self.model.values() for at in one.missed
        )


def _text(instant: int | None) -> str | None:
    return None if instant is None else moment(instant).isoformat().replace("+00:00", "Z")


def test_heartbeats_tell_each_silence_and_its_end_once(
    server_url: str, template_without_partitions: str
) -> None:
    Heartbeats.server_url = server_url
    Heartbeats.template = asyncio.run(
        make_still_template(server_url, template=template_without_partitions, start=START)
    )

    run_state_machine_as_test(
        Heartbeats,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not LONG,
            phases=[Phase.reuse, Phase.generate, Phase.shrink] if LONG else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
