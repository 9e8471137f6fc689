"""Firing by a call: a trigger becomes an event, once, however often the call is repeated."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.http.hops import MOST_HOPS, LoopDetected
from event_trigger.errors import Conflict, Invalid, NotFound, Problem
from event_trigger.firing.idempotency import CallKey, IdempotencyKeys, StoredAnswer
from event_trigger.firing.repository import CalledTrigger, Calls, NewEvent
from event_trigger.models import Event, TriggerStatus
from event_trigger.triggers.merge_patch import merge_body
from event_trigger.triggers.payload_schema import payload_errors
from event_trigger.triggers.repository import Triggers


class Paused(Conflict):
    slug, title = "trigger-paused", "The trigger is paused"
    default_detail = "This trigger is paused. Resume it first, or fire a test."


class StillRunning(Conflict):
    slug, title = "idempotency-key-in-use", "The first call is still running"
    default_detail = "The first call with this key or id is still running. Try again in a moment."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class KeyReused(Invalid):
    slug, title = "idempotency-key-reused", "The Idempotency-Key was used for another body"
    default_detail = "This Idempotency-Key came with another body before. Use a new key."


class SentBody(NamedTuple):
    """A call's body: the object that it says, and the very text that says it."""

    value: dict[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller asked for; `idempotency_key` is the header, or a hook's id, if one was sent.

    Whether the same key with another body is a mistake, or still the same call, `compares_body`
    says. `hops` deliveries have led to it.
    """

    trigger: OwnedId
    body: SentBody | None
    is_test: bool
    idempotency_key: str | None
    compares_body: bool = True
    hops: int = 0

    @property
    def key(self) -> CallKey | None:
        if self.idempotency_key is None:
            return None
        return CallKey(self.trigger.id, self.is_test, self.idempotency_key)


@dataclass(frozen=True, slots=True)
class CallAnswer:
    event_id: int
    replayed: bool


class TriggerBusy:
    """What becomes of a call whose trigger others hold, or that is not there: it has to wait."""


Outcome = CallAnswer | Problem | TriggerBusy


async def fire_all(
    session: AsyncSession, shard: int, calls: Sequence[Call], *, waits: bool
) -> list[Outcome]:
    """Fires for each call, or repeats the answer that its key was given; no two have the same key.

    What is wrong with one is its own outcome, and stops no other. With `waits`, the triggers that
    others hold are waited for, and those that are not there are a NotFound.
    """
    stored, answers = Calls(session, shard), IdempotencyKeys(session, shard)
    keyed = [call for call in calls if call.key is not None]
    free = await answers.try_locks([_lock_of(call) for call in keyed])
    busy = {
        (call.trigger, call.key) for call, is_free in zip(keyed, free, strict=True) if not is_free
    }
    fired = {call.trigger.id for call in calls if not call.is_test}
    locked = await stored.lock_triggers(fired, waits=waits)
    read = await stored.read_triggers({call.trigger.id for call in calls if call.is_test})
    known = await answers.list_known([call.key for call in keyed if call.key is not None])
    outcomes: dict[int, Outcome] = {}
    looping: set[int] = set()
    new: dict[int, NewEvent] = {}
    for place, call in enumerate(calls):
        trigger = (read if call.is_test else locked).get(call.trigger.id)
        may_be_held = not (call.is_test or waits)
        if (call.trigger, call.key) in busy:
            outcomes[place] = StillRunning()
        elif trigger is None and may_be_held:
            outcomes[place] = TriggerBusy()
        elif trigger is None or trigger.owner_id != call.trigger.owner_id:
            outcomes[place] = NotFound()
        elif call.hops >= MOST_HOPS:
            outcomes[place] = LoopDetected()
            looping.add(call.trigger.id)
        elif call.key is not None and call.key in known:
            outcomes[place] = _again(call, known[call.key])
        else:
            try:
                new[place] = _new_event(trigger, call)
            except Problem as problem:
                outcomes[place] = problem
    if looping:
        await stored.note_loops(looping)
    if new:
        event_ids = dict(zip(new, await stored.store([*new.values()]), strict=True))
        await answers.add(
            {
                key: StoredAnswer(_hash_of(calls[place].body), event_id)
                for place, event_id in event_ids.items()
                if (key := calls[place].key) is not None
            }
        )
        outcomes |= {place: CallAnswer(one, replayed=False) for place, one in event_ids.items()}
    return [outcomes[place] for place in range(len(calls))]


async def replay(session: AsyncSession, event: Event, *, hops: int) -> int:
    """Fires an event's payload once more and gives the new event's id.

    What the trigger has become since does not matter, and it is left alone; but the new event goes
    to the destinations that it names now. Raises LoopDetected.
    """
    key = OwnedId(event.owner_id, event.trigger_id)
    trigger = await Triggers(session).get(key)
    has_destinations = trigger is not None and bool(trigger.destinations)
    calls = Calls(session, key.shard)
    if hops >= MOST_HOPS:
        await calls.note_loops({key.id})
        raise LoopDetected
    payload = await calls.read_payload(event)
    new = NewEvent(
        key,
        payload,
        event.is_test,
        has_destinations,
        replay_of=event.id,
        hops=max(event.hops, hops),
    )
    [event_id] = await calls.store([new])
    return event_id


def _again(call: Call, known: StoredAnswer) -> Outcome:
    if call.compares_body and known.body_hash != _hash_of(call.body):
        return KeyReused()
    return CallAnswer(known.event_id, replayed=True)


def _new_event(trigger: CalledTrigger, call: Call) -> NewEvent:
    """Makes the event of a call, if the trigger takes calls and its schema takes the payload."""
    if trigger.status == TriggerStatus.PAUSED and not call.is_test:
        raise Paused
    payload = _payload_of(trigger.payload, call.body)
    if trigger.schema is not None:
        errors = payload_errors(trigger.schema, None if payload is None else payload.value)
        if errors:
            raise Invalid("The payload does not match details.schema.", errors=errors)
    text = None if payload is None else payload.text
    return NewEvent(call.trigger, text, call.is_test, trigger.has_destinations, hops=call.hops)


def _payload_of(predefined: str | None, body: SentBody | None) -> SentBody | None:
    """The body as it was sent, the predefined payload as it is stored, or both merged."""
    if predefined is None:
        return body
    value = json.loads(predefined)
    if body is None:
        return SentBody(value, predefined)
    merged = merge_body(value, body.value)
    return SentBody(merged, json.dumps(merged, ensure_ascii=False))


def _lock_of(call: Call) -> int:
    owner_id, trigger_id = call.trigger.owner_id, call.trigger.id
    name = f"{owner_id}/{trigger_id}/{call.is_test}/{call.idempotency_key}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)


def _hash_of(body: SentBody | None) -> bytes:
    value = None if body is None else body.value
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
