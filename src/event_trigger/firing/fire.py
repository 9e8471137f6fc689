"""Turns calls of triggers into events: one for each call, or for each Idempotency-Key."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.http.hops import MOST_HOPS, LoopDetected
from event_trigger.errors import Invalid, NotFound, Problem
from event_trigger.events.event_writer import StoredEvent
from event_trigger.events.source import EventSource
from event_trigger.firing.allowance import Allowance, BatchFull
from event_trigger.firing.called_events import NewEvent, store_events
from event_trigger.firing.idempotency import CallKey, IdempotencyKeys, StoredAnswer
from event_trigger.firing.pings import PingAnswer, PingedHeartbeats
from event_trigger.firing.refusals import HookChanged, KeyMoved, Paused, events_full
from event_trigger.firing.repository import CalledTrigger, CalledTriggers
from event_trigger.idempotency.refusals import KeyReused, StillRunning
from event_trigger.models import TriggerStatus
from event_trigger.triggers.merge_patch import merge_body
from event_trigger.triggers.payload_schema import payload_errors, work_of
from event_trigger.triggers.schedule.pings import Ping


class SentBody(NamedTuple):
    """A call's body: the parsed object, and the JSON text exactly as it was sent."""

    value: dict[str, Any]
    text: str


class ReplayedEvent(NamedTuple):
    """An event that is fired again: its payload as JSON text, and the hops that led to it."""

    id: int
    payload: str | None
    hops: int


class Call(NamedTuple):
    """A request to fire a trigger, or to replay an event of it, which leaves the trigger alone.

    `idempotency_key` is the header, or the id that a hook's sender gave, if either was sent. With
    `compares_body`, the same key with another body is refused; without, it is the same call.
    `hops` counts the deliveries that led to the call. `named` is the key that the trigger was found
    by, if it was: it is fired only if it still has that key. A trigger that was found by a
    remembered hook is fired only if it is `configured_at` the same instant as the hook was.
    `source` says who made it. `trace` is the trace context that the event's deliveries keep. `ping`
    makes it a ping of a heartbeat.
    """

    trigger: OwnedId
    body: SentBody | None
    is_test: bool
    idempotency_key: str | None
    compares_body: bool = True
    hops: int = 0
    named: str | None = None
    configured_at: datetime | None = None
    source: EventSource | None = None
    replayed: ReplayedEvent | None = None
    trace: str | None = None
    ping: Ping | None = None

    @property
    def locks_trigger(self) -> bool:
        return not self.is_test and self.replayed is None

    @property
    def key(self) -> CallKey | None:
        if self.idempotency_key is None:
            return None
        return CallKey(self.trigger, self.is_test, self.idempotency_key)


class CallAnswer(NamedTuple):
    """The event of a call; of a new one also its instant, and what its trigger was like."""

    event_id: int
    is_repeated: bool
    triggered_at: datetime | None = None
    configured_at: datetime | None = None
    has_destinations: bool = False


class TriggerBusy:
    """The outcome of a call whose trigger others have locked: it has to wait."""


Outcome = CallAnswer | PingAnswer | Problem | TriggerBusy


async def fire_all(session: ReadSession, calls: Sequence[Call], *, waits: bool) -> list[Outcome]:
    """Fires calls in this transaction; gives an outcome for each, in their order.

    1. Lock the calls' keys and their triggers; read triggers of tests and answers of known keys.
    2. Decide on each call: a new event, the answer given before, a Problem, or TriggerBusy.
    3. Note calls that were refused as loops in their triggers.
    4. Store the new events, with their deliveries, and count them in their triggers.
    5. Store the answers of the new events that have a key.
    6. Store what pings have made of their heartbeats, with the changes that events tell.

    No two calls may have the same key. With `waits`, it waits for triggers that others have
    locked; otherwise their calls are TriggerBusy. In a cluster, all calls must be of one shard. The
    caller announces the events after the commit.
    """
    found = await find_called(CalledTriggers(session), IdempotencyKeys(session), calls, waits=waits)
    pinged = PingedHeartbeats()
    decided = [_decide(call, found, pinged) for call in calls]
    outcomes = await store_decided(session, calls, decided, announces=False)
    if pinged:
        ids = [one.event_id if isinstance(one, CallAnswer) else None for one in outcomes]
        await pinged.store(session, [*zip(decided, ids, strict=True)])
    return outcomes


async def store_decided(
    session: ReadSession,
    calls: Sequence[Call],
    decided: Sequence[Outcome | NewEvent],
    *,
    announces: bool,
) -> list[Outcome]:
    """Stores the decisions about calls: steps 3 to 5 of `fire_all`."""
    looping = {
        call.trigger
        for call, outcome in zip(calls, decided, strict=True)
        if isinstance(outcome, LoopDetected)
    }
    if looping:
        await CalledTriggers(session).note_loops(looping)
    new = [one for one in decided if isinstance(one, NewEvent)]
    stored = iter(await store_events(session, new, announces=announces) if new else ())
    outcomes = [
        _answer_of(one, next(stored)) if isinstance(one, NewEvent) else one for one in decided
    ]
    await IdempotencyKeys(session).add(
        {
            call.key: StoredAnswer(hash_of(call.body), outcome.event_id)
            for call, outcome in zip(calls, outcomes, strict=True)
            if call.key is not None and isinstance(outcome, CallAnswer) and not outcome.is_repeated
        }
    )
    return outcomes


def _answer_of(new: NewEvent, stored: StoredEvent) -> CallAnswer:
    return CallAnswer(
        stored.id,
        is_repeated=False,
        triggered_at=stored.triggered_at,
        configured_at=new.configured_at,
        has_destinations=new.has_destinations,
    )


class CalledRows(NamedTuple):
    """The rows that decide on calls: triggers by id, answers by key, and what others lock."""

    keys_in_use: set[CallKey]
    locked: dict[int, CalledTrigger]
    busy: set[int]  # ids of triggers
    read: dict[int, CalledTrigger]
    answers: dict[CallKey, StoredAnswer]


async def find_called(
    triggers: CalledTriggers, answers: IdempotencyKeys, calls: Sequence[Call], *, waits: bool
) -> CalledRows:
    """Locks and reads the rows that decide on calls: step 1 of `fire_all`."""
    keys = [call.key for call in calls if call.key is not None]
    free = await answers.try_locks([key.lock for key in keys])
    fired = {call.trigger for call in calls if call.locks_trigger}
    locked = await triggers.lock_triggers(fired, waits=waits)
    skipped = [] if waits else [one for one in fired if one.id not in locked]
    return CalledRows(
        {key for key, is_free in zip(keys, free, strict=True) if not is_free},
        locked,
        await triggers.list_present(skipped),
        await triggers.read_triggers({call.trigger for call in calls if not call.locks_trigger}),
        await answers.list_known(keys),
    )


def _decide(call: Call, found: CalledRows, pinged: PingedHeartbeats) -> Outcome | NewEvent:
    admitted = admit(call, found)
    if not isinstance(admitted, CalledTrigger):
        return admitted
    if call.ping is not None:
        made = pinged.take(call.trigger, admitted, call.ping, call.source, hops=call.hops)
        return made._replace(trace=call.trace) if isinstance(made, NewEvent) else made
    return make_event(admitted, call)


def admit(call: Call, found: CalledRows) -> Outcome | CalledTrigger:
    """Decides on one call up to its payload: gives the trigger if the call may make an event."""
    trigger = (found.locked if call.locks_trigger else found.read).get(call.trigger.id)
    key = call.key
    if key is not None and key in found.keys_in_use:
        return StillRunning()
    if trigger is None and call.locks_trigger and call.trigger.id in found.busy:
        return TriggerBusy()
    if trigger is None or not _is_meant(trigger, call):
        return missing(call)
    if call.hops >= MOST_HOPS:
        return LoopDetected()
    known = None if key is None else found.answers.get(key)
    if known is not None:
        return _repeat(call, known)
    return _refusal(trigger, call) or trigger


def _refusal(trigger: CalledTrigger, call: Call) -> Problem | None:
    if trigger.status == TriggerStatus.PAUSED and call.locks_trigger:
        return Paused()
    is_full = trigger.reached is not None and call.ping is None  # most pings make no event
    return events_full(trigger.reached) if is_full and trigger.reached else None


def missing(call: Call) -> Problem:
    """Returns the problem of a call whose trigger is gone, or is not the one that was meant."""
    if call.configured_at is not None:
        return HookChanged()
    return NotFound() if call.named is None else KeyMoved()


def _is_meant(trigger: CalledTrigger, call: Call) -> bool:
    has_key = call.named is None or call.named == trigger.key
    is_unchanged = call.configured_at is None or call.configured_at == trigger.updated_at
    return trigger.owner_id == call.trigger.owner_id and has_key and is_unchanged


def _repeat(call: Call, known: StoredAnswer) -> Outcome:
    """Returns the answer of the first call again, or KeyReused if it had another body."""
    if call.compares_body and known.body_hash != hash_of(call.body):
        return KeyReused()
    return CallAnswer(known.event_id, is_repeated=True)


def make_event(
    trigger: CalledTrigger, call: Call, allowance: Allowance | None = None
) -> NewEvent | Problem:
    """Makes the event of a call that was admitted, or gives the problem of a refused payload.

    An `allowance` limits what the checks of a batch cost together.
    """
    if call.replayed is not None:
        return _replay_of(call.replayed, trigger, call)
    payload = _payload_of(trigger.payload, call.body)
    if trigger.schema is not None:
        value = None if payload is None else payload.value
        if allowance is not None and not allowance.takes_check(work_of(trigger.schema, value)):
            return BatchFull()
        errors = payload_errors(trigger.schema, value, first_only=allowance is not None)
        if errors:
            return Invalid("The payload does not match details.schema.", errors=errors)
    text = None if payload is None else payload.text
    return NewEvent(
        call.trigger,
        text,
        call.is_test,
        trigger.has_destinations,
        hops=call.hops,
        source=call.source,
        configured_at=trigger.updated_at,
        trace=call.trace,
    )


def _replay_of(event: ReplayedEvent, trigger: CalledTrigger, call: Call) -> NewEvent:
    return NewEvent(
        call.trigger,
        event.payload,
        call.is_test,
        trigger.has_destinations,
        replay_of=event.id,
        hops=max(event.hops, call.hops),
        source=call.source,
        trace=call.trace,
    )


def _payload_of(predefined: str | None, body: SentBody | None) -> SentBody | None:
    """Returns the body as sent, the predefined payload as stored, or the body merged into that."""
    if predefined is None:
        return body
    value = json.loads(predefined)
    if body is None:
        return SentBody(value, predefined)
    merged = merge_body(value, body.value)
    return SentBody(merged, json.dumps(merged, ensure_ascii=False))


def hash_of(body: SentBody | None) -> bytes:
    """Returns the SHA-256 of a body, by which bodies with the same key are compared."""
    value = None if body is None else body.value
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
