"""Fires up to 10,000 calls of one shard in one transaction, without holding the event loop."""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import OwnedId
from event_trigger.firing.allowance import Allowance
from event_trigger.firing.fire import (
    Call,
    CallAnswer,
    Outcome,
    decide,
    find_called,
    hash_of,
    store_decided,
)
from event_trigger.firing.idempotency import CallKey, IdempotencyKeys
from event_trigger.firing.repository import CalledTriggers, NewEvent
from event_trigger.idempotency.refusals import KeyReused

_TRIGGERS_PER_READ = 200  # each may have a predefined payload of a MiB

_Decided = Outcome | NewEvent


async def fire_batch(
    session: AsyncSession, shard: int, calls: Sequence[Call], *, is_dry: bool = False
) -> list[Outcome | None]:
    """Fires calls in this transaction; gives an outcome for each, in their order.

    1. Lock and read the triggers in the order of their ids, some hundred at a time, and decide.
    2. Of the calls that would make an event with the same key, leave out all but the first.
    3. Store the new events in the order of the calls, with their deliveries and answers.
    4. Give those that were left out the event of the first, or KeyReused for another body.

    It waits for triggers that others have locked. With `is_dry` it stores nothing, and the outcome
    of a call that would make an event is None.
    """
    decided = await _decide_all(session, shard, calls)
    first = _first_events(calls, decided)
    kept = [place for place, one in enumerate(first) if one == place]
    if is_dry:
        return [None if isinstance(one, NewEvent) else one for one in decided]
    stored = await store_decided(
        CalledTriggers(session, shard),
        IdempotencyKeys(session, shard),
        [calls[one] for one in kept],
        [decided[one] for one in kept],
    )
    by_place = dict(zip(kept, stored, strict=True))
    return [
        by_place[one] if one == place else _repeated(calls[one], calls[place], by_place[one])
        for place, one in enumerate(first)
    ]


def _first_events(calls: Sequence[Call], decided: Sequence[_Decided]) -> list[int]:
    """Returns for each call the place of the first event with its key, or else its own."""
    places: dict[tuple[OwnedId, CallKey], int] = {}
    first = []
    for place, (call, outcome) in enumerate(zip(calls, decided, strict=True)):
        key = call.key if isinstance(outcome, NewEvent) else None
        first.append(place if key is None else places.setdefault((call.trigger, key), place))
    return first


def _repeated(first: Call, call: Call, outcome: Outcome) -> Outcome:
    assert isinstance(outcome, CallAnswer)
    if hash_of(first.body) != hash_of(call.body):
        return KeyReused()
    return CallAnswer(outcome.event_id, is_repeated=True)


async def _decide_all(session: AsyncSession, shard: int, calls: Sequence[Call]) -> list[_Decided]:
    triggers, answers = CalledTriggers(session, shard), IdempotencyKeys(session, shard)
    allowance, decided = Allowance(), dict[int, _Decided]()
    for places in _in_reads(calls):
        group = [calls[one] for one in places]
        found = await find_called(triggers, answers, group, waits=True)
        for place, call in zip(places, group, strict=True):
            decided[place] = decide(call, found, waits=True, allowance=allowance)
            await allowance.pause()
    return [decided[place] for place in range(len(calls))]


def _in_reads(calls: Sequence[Call]) -> Iterator[list[int]]:
    """Groups the places of calls by trigger, in the order of ids, which prevents deadlocks."""
    ordered = sorted(range(len(calls)), key=lambda place: calls[place].trigger.id)
    by_trigger = [[*group] for _, group in groupby(ordered, lambda place: calls[place].trigger.id)]
    for start in range(0, len(by_trigger), _TRIGGERS_PER_READ):
        yield [*chain.from_iterable(by_trigger[start : start + _TRIGGERS_PER_READ])]
