"""Firing by a call: a trigger becomes an event, once, however often the call is repeated."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.dispatch.repository import Firings, IdempotencyKeys
from event_trigger.errors import Conflict, Invalid, NotFound
from event_trigger.models import Event, IdempotencyKey, Trigger, TriggerStatus
from event_trigger.triggers.merge_patch import merge_patch
from event_trigger.triggers.payload_schema import payload_errors
from event_trigger.triggers.repository import OwnedId, Triggers

ANSWERS_KEPT_FOR = timedelta(hours=48)


class Paused(Conflict):
    slug, title = "trigger-paused", "The trigger is paused"
    default_detail = "This trigger is paused. Resume it first, or fire a test."


class StillRunning(Conflict):
    slug, title = "idempotency-key-in-use", "The first call is still running"
    default_detail = "The first call with this key or id is still running. Try again in a moment."


class KeyReused(Invalid):
    slug, title = "idempotency-key-reused", "The Idempotency-Key was used for another body"
    default_detail = "This Idempotency-Key came with another body before. Use a new key."


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller asked for; `key` is the Idempotency-Key, if one was sent.

    Whether the same key with another body is a mistake, or still the same call, `compares_body`
    says.
    """

    body: dict[str, Any] | None
    is_test: bool
    key: str | None
    compares_body: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    event_id: int
    replayed: bool


async def fire(session: AsyncSession, trigger: OwnedId, call: Call) -> Answer:
    """Fires, or repeats the answer that the same key and body were given within 48 hours."""
    if call.key is None:
        return Answer(await _fire(session, trigger, call), replayed=False)
    keys = IdempotencyKeys(session)
    if await Triggers(session).get(trigger) is None:
        raise NotFound
    if not await keys.try_lock(_lock_of(trigger, call)):
        raise StillRunning(headers={"Retry-After": "1"})
    body_hash = _hash_of(call.body)
    known = await keys.get(trigger, call.key, is_test=call.is_test)
    if known is not None and known.created_at > await database_now(session) - ANSWERS_KEPT_FOR:
        if call.compares_body and known.body_hash != body_hash:
            raise KeyReused
        return Answer(known.event_id, replayed=True)
    if known is not None:
        await session.delete(known)
        await session.flush()
    event_id = await _fire(session, trigger, call)
    await keys.add(
        IdempotencyKey(
            shard=trigger.shard,
            trigger_id=trigger.id,
            is_test=call.is_test,
            key=call.key,
            body_hash=body_hash,
            event_id=event_id,
        )
    )
    return Answer(event_id, replayed=False)


async def _fire(session: AsyncSession, key: OwnedId, call: Call) -> int:
    triggers = Triggers(session)
    trigger = await (triggers.get(key) if call.is_test else triggers.get_locked(key))
    if trigger is None:
        raise NotFound
    if trigger.status == TriggerStatus.PAUSED and not call.is_test:
        raise Paused
    payload = _merged(trigger, call.body)
    firings = Firings(session)
    if not call.is_test:
        await firings.record_called(key)
    return await firings.add_called(
        key, payload, is_test=call.is_test, has_destinations=bool(trigger.destinations)
    )


async def replay(session: AsyncSession, event: Event) -> int:
    """Fires an event's payload once more and gives the new event's id.

    What the trigger has become since does not matter, and it is left alone; but the new event goes
    to the destinations that it names now.
    """
    key = OwnedId(event.owner_id, event.trigger_id)
    trigger = await Triggers(session).get(key)
    return await Firings(session).add_called(
        key,
        event.payload,
        is_test=event.is_test,
        has_destinations=trigger is not None and bool(trigger.destinations),
        replay_of=event.id,
    )


def _merged(trigger: Trigger, body: dict[str, Any] | None) -> dict[str, Any] | None:
    """RFC 7396 with the predefined payload as the target; without either there is none."""
    payload = trigger.payload if body is None else merge_patch(trigger.payload, body)
    schema = trigger.details.get("schema")
    if schema is not None:
        errors = payload_errors(schema, payload)
        if errors:
            raise Invalid("The payload does not match details.schema.", errors=errors)
    return payload


def _lock_of(trigger: OwnedId, call: Call) -> int:
    name = f"{trigger.id}/{call.is_test}/{call.key}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)


def _hash_of(body: dict[str, Any] | None) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
