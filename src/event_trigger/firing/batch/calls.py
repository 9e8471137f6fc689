"""Fires the calls of a batch for its caller, each within the caller's rights and rate limits."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from event_trigger.auth.principal import Principal
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.errors import FieldError, Invalid, NotFound, Problem, pointer
from event_trigger.events.source import EventSource
from event_trigger.firing.batch.schemas import SentCall
from event_trigger.firing.fire import Call, CallAnswer, Outcome
from event_trigger.firing.fire_batch import fire_batch
from event_trigger.firing.rate_limits import RateLimits, name_of
from event_trigger.firing.repository import CalledTriggers
from event_trigger.web.cpu_bound import taking_turns

_CALLS_PER_SLICE = 100

Answer = CallAnswer | Problem


@dataclass(frozen=True, slots=True)
class BatchFirer:
    """Fires for one caller, the `source`; `hops` counts the deliveries that led to the batch."""

    session: ReadSession
    rate_limits: RateLimits
    principal: Principal
    hops: int
    source: EventSource

    async def fire(self, sent: Sequence[SentCall | Problem]) -> list[Answer]:
        """Answers each call in its place; all events are in one commit.

        1. Find the ids of the triggers that are named by key.
        2. Refuse calls of triggers that the caller does not see, and those above a rate limit.
        3. Fire the others in one transaction.
        4. Count the calls that fired.
        """
        checked = await self._check(sent, await self._ids_of(sent))
        calls = [one for one in checked if isinstance(one, Call)]
        outcomes = iter(await fire_batch(self.session, calls) if calls else ())
        answers = list[Answer]()
        async for place, one in taking_turns(enumerate(checked), at_once=_CALLS_PER_SLICE):
            if isinstance(one, Problem):
                answers.append(one)
                continue
            answers.append(answer := _placed(next(outcomes), place))
            if self.rate_limits.has_any and isinstance(answer, CallAnswer):
                await self.rate_limits.count(one.trigger)
        return answers

    async def _ids_of(self, sent: Sequence[SentCall | Problem]) -> dict[str, int]:
        keys = {one.trigger for one in sent if isinstance(one, SentCall)}
        named = sorted(one for one in keys if isinstance(one, str))
        owner_id = self.principal.one_project_id
        triggers = CalledTriggers(self.session)
        return await triggers.list_ids(owner_id, named) if named else {}

    async def _check(
        self, sent: Sequence[SentCall | Problem], ids: dict[str, int]
    ) -> list[Call | Problem]:
        checked: list[Call | Problem] = []
        before = Counter[OwnedId]()
        async for one in taking_turns(sent, at_once=_CALLS_PER_SLICE):
            call = one if isinstance(one, Problem) else self._call_of(one, ids)
            if self.rate_limits.has_any and isinstance(call, Call):
                call = await self._within_limits(call, before)
            checked.append(call)
        return checked

    async def _within_limits(self, call: Call, before: Counter[OwnedId]) -> Call | Problem:
        """Counts a call that comes after those `before` it in the batch, or refuses it."""
        uncounted, caller = before[call.trigger], name_of(self.principal)
        try:
            await self.rate_limits.check(call.trigger, caller=caller, uncounted=uncounted)
        except Problem as problem:
            return problem
        before[call.trigger] += 1
        return call

    def _call_of(self, sent: SentCall, ids: dict[str, int]) -> Call | Problem:
        named = sent.trigger
        trigger_id = ids.get(named) if isinstance(named, str) else named
        if trigger_id is None or not self.principal.may_see(trigger_id):
            return NotFound()
        return Call(
            OwnedId(self.principal.one_project_id, trigger_id),
            sent.body,
            is_test=False,
            idempotency_key=sent.idempotency_key,
            hops=self.hops,
            named=named if isinstance(named, str) else None,
            source=self.source,
        )


def _placed(outcome: Outcome | None, place: int) -> Answer:
    """Moves the places that a problem names from the call's own body to the batch's."""
    assert isinstance(outcome, CallAnswer | Problem)  # the batch waited for busy triggers
    if isinstance(outcome, CallAnswer) or not outcome.errors:
        return outcome
    below = pointer("calls", place, "payload")
    errors = [
        FieldError(one.source, below + one.name.removeprefix("#"), one.detail)
        for one in outcome.errors
    ]
    return Invalid(outcome.detail, errors=errors)
