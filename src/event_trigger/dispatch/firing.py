"""Firing by a call: a trigger becomes an event, once, however often the call is repeated."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.dispatch.answers import Answers, CallKey, Known
from event_trigger.dispatch.calls import CalledTrigger, Calls, NewEvent
from event_trigger.errors import Conflict, Invalid, NotFound, Problem
from event_trigger.models import Event, TriggerStatus
from event_trigger.triggers.merge_patch import merge_patch
from event_trigger.triggers.payload_schema import payload_errors
from event_trigger.triggers.repository import OwnedId, Triggers


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


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller asked for; `idempotency_key` is the header, or a hook's id, if one was sent.

    Whether the same key with another body is a mistake, or still the same call, `compares_body`
    says.
    """

    trigger: OwnedId
    body: dict[str, Any] | None
    is_test: bool
    idempotency_key: str | None
    compares_body: bool = True

    @property
    def key(self) -> CallKey | None:
        if self.idempotency_key is None:
            return None
        return CallKey(self.trigger.id, self.is_test, self.idempotency_key)


@dataclass(frozen=True, slots=True)
class Answer:
    event_id: int
    replayed: bool


class Held:
    """What becomes of a call whose trigger others hold, or that is not there: it has to wait."""


Outcome = Answer | Problem | Held


async def fire_all(
    session: AsyncSession, shard: int, calls: Sequence[Call], *, waits: bool
) -> list[Outcome]:
    """Fires for each call, or repeats the answer that its key was given; no two have the same key.

    What is wrong with one is its own outcome, and stops no other. With `waits`, the triggers that
    others hold are waited for, and those that are not there are a NotFound.
    """
    found = Calls(session, shard)
    busy = await _list_busy(session, shard, calls)
    locked = await _triggers_of(
        calls, are_tests=False, get=partial(found.lock_triggers, waits=waits)
    )
    read = await _triggers_of(calls, are_tests=True, get=found.read_triggers)
    known = await _list_known(session, shard, calls)
    outcomes: dict[int, Outcome] = {}
    new: dict[int, NewEvent] = {}
    for place, call in enumerate(calls):
        trigger = (read if call.is_test else locked).get(call.trigger.id)
        may_be_held = not (call.is_test or waits)
        if call.key in busy:
            outcomes[place] = StillRunning()
        elif trigger is None and may_be_held:
            outcomes[place] = Held()
        elif trigger is None or trigger.owner_id != call.trigger.owner_id:
            outcomes[place] = NotFound()
        elif call.key is not None and call.key in known:
            outcomes[place] = _again(call, known[call.key])
        else:
            try:
                new[place] = _new_event(trigger, call)
            except Problem as problem:
                outcomes[place] = problem
    outcomes |= await _store(found, {place: calls[place] for place in new}, [*new.values()])
    return [outcomes[place] for place in range(len(calls))]


async def replay(session: AsyncSession, event: Event) -> int:
    """Fires an event's payload once more and gives the new event's id.

    What the trigger has become since does not matter, and it is left alone; but the new event goes
    to the destinations that it names now.
    """
    key = OwnedId(event.owner_id, event.trigger_id)
    trigger = await Triggers(session).get(key)
    has_destinations = trigger is not None and bool(trigger.destinations)
    new = NewEvent(key, event.payload, event.is_test, has_destinations, replay_of=event.id)
    [event_id] = await Calls(session, key.shard).store([new])
    return event_id


async def _triggers_of(
    calls: Sequence[Call],
    *,
    are_tests: bool,
    get: Callable[[Sequence[int]], Awaitable[dict[int, CalledTrigger]]],
) -> dict[int, CalledTrigger]:
    ids = sorted({call.trigger.id for call in calls if call.is_test is are_tests})
    return await get(ids) if ids else {}


async def _list_busy(session: AsyncSession, shard: int, calls: Sequence[Call]) -> set[CallKey]:
    """The keys of calls that another process is still answering."""
    keyed = [call for call in calls if call.key is not None]
    if not keyed:
        return set()
    locked = await Answers(session, shard).try_locks([_lock_of(call) for call in keyed])
    return {call.key for call, mine in zip(keyed, locked, strict=True) if call.key and not mine}


async def _list_known(
    session: AsyncSession, shard: int, calls: Sequence[Call]
) -> Mapping[CallKey, Known]:
    keys = [call.key for call in calls if call.key is not None]
    return await Answers(session, shard).list_known(keys) if keys else {}


def _again(call: Call, known: Known) -> Outcome:
    if call.compares_body and known.body_hash != _hash_of(call.body):
        return KeyReused()
    return Answer(known.event_id, replayed=True)


async def _store(
    found: Calls, called: Mapping[int, Call], new: Sequence[NewEvent]
) -> dict[int, Outcome]:
    """Stores what is to be stored, and gives the answers by the places of their calls."""
    if not new:
        return {}
    if fired := [one.trigger.id for one in new if not one.is_test]:
        await found.count(fired)
    ids = dict(zip(called, await found.store(new), strict=True))
    answered = {
        call.key: Known(_hash_of(call.body), ids[place])
        for place, call in called.items()
        if call.key is not None
    }
    if answered:
        await Answers(found.session, found.shard).add(answered)
    return {place: Answer(event_id, replayed=False) for place, event_id in ids.items()}


def _new_event(trigger: CalledTrigger, call: Call) -> NewEvent:
    """RFC 7396 with the predefined payload as the target; without either there is none."""
    if trigger.status == TriggerStatus.PAUSED and not call.is_test:
        raise Paused
    payload = trigger.payload if call.body is None else merge_patch(trigger.payload, call.body)
    if trigger.schema is not None:
        errors = payload_errors(trigger.schema, payload)
        if errors:
            raise Invalid("The payload does not match details.schema.", errors=errors)
    return NewEvent(call.trigger, payload, call.is_test, trigger.has_destinations)


def _lock_of(call: Call) -> int:
    owner_id, trigger_id = call.trigger.owner_id, call.trigger.id
    name = f"{owner_id}/{trigger_id}/{call.is_test}/{call.idempotency_key}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)


def _hash_of(body: dict[str, Any] | None) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
