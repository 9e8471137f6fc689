"""Fires up to 10,000 calls of one owner in one transaction, without holding the event loop."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import NamedTuple

from event_trigger.db.plain_session import ReadSession
from event_trigger.firing.allowance import Allowance, BatchFull
from event_trigger.firing.called_events import NewEvent
from event_trigger.firing.fire import (
    Call,
    CallAnswer,
    CalledRows,
    Outcome,
    admit,
    find_called,
    hash_of,
    make_event,
    missing,
    store_decided,
)
from event_trigger.firing.idempotency import CallKey, IdempotencyKeys
from event_trigger.firing.repository import CalledTrigger, CalledTriggers, MeasuredTriggers
from event_trigger.idempotency.refusals import KeyReused

_TRIGGERS_PER_READ = 200  # each may have a schema of 16 KiB
_BYTES_PER_READ = 4 * 1024 * 1024  # of predefined payloads

_Decided = Outcome | NewEvent


async def fire_batch(
    session: ReadSession, calls: Sequence[Call], *, is_dry: bool = False
) -> list[Outcome | None]:
    """Fires calls in this transaction; gives an outcome for each, in their order.

    1. Lock the triggers in the order of their ids, some hundred at a time, and decide; read the
       predefined payloads of those calls alone that the batch has room for.
    2. Of the calls that would make an event with the same key, leave out all but the first.
    3. Store the new events in the order of the calls, with their deliveries and answers.
    4. Give those that were left out the event of the first, or KeyReused for another body.

    It waits for triggers that others have locked. With `is_dry` it stores nothing, and the outcome
    of a call that would make an event is None.
    """
    decided = await _decide_all(session, calls)
    first = _first_events(calls, decided)
    kept = [place for place, one in enumerate(first) if one == place]
    if is_dry:
        return [None if isinstance(one, NewEvent) else one for one in decided]
    stored = await store_decided(
        session, [calls[one] for one in kept], [decided[one] for one in kept], announces=True
    )
    by_place = dict(zip(kept, stored, strict=True))
    return [
        by_place[one] if one == place else _repeated(calls[one], calls[place], by_place[one])
        for place, one in enumerate(first)
    ]


def _first_events(calls: Sequence[Call], decided: Sequence[_Decided]) -> list[int]:
    """Returns for each call the place of the first event with its key, or else its own."""
    places: dict[CallKey, int] = {}
    first = []
    for place, (call, outcome) in enumerate(zip(calls, decided, strict=True)):
        key = call.key if isinstance(outcome, NewEvent) else None
        first.append(place if key is None else places.setdefault(key, place))
    return first


def _repeated(first: Call, call: Call, outcome: Outcome) -> Outcome:
    assert isinstance(outcome, CallAnswer)
    if hash_of(first.body) != hash_of(call.body):
        return KeyReused()
    return CallAnswer(outcome.event_id, is_repeated=True)


async def _decide_all(session: ReadSession, calls: Sequence[Call]) -> list[_Decided]:
    answers, allowance = IdempotencyKeys(session), Allowance()
    decided = dict[int, _Decided]()
    for places in _in_reads(calls):
        group = [calls[one] for one in places]
        triggers = MeasuredTriggers(session, most_bytes=allowance.characters)
        found = await find_called(triggers, answers, group, waits=True)
        fitting = list[_Fitting]()
        for place, call in zip(places, group, strict=True):
            outcome = _fit(place, call, found, allowance)
            if isinstance(outcome, _Fitting):
                fitting.append(outcome)
            else:
                decided[place] = outcome
            if allowance.counts_slice():
                await asyncio.sleep(0)
        for part in _in_payloads(fitting):
            decided |= await _make_events(triggers, part, allowance)
    return [decided[place] for place in range(len(calls))]


class _Fitting(NamedTuple):
    """A call whose payload fits into the batch, and the trigger without its predefined payload.

    `characters` is the length of what is parsed and merged: the body and the predefined payload.
    """

    place: int
    call: Call
    trigger: CalledTrigger
    characters: int


def _fit(place: int, call: Call, found: CalledRows, allowance: Allowance) -> Outcome | _Fitting:
    admitted = admit(call, found)
    if not isinstance(admitted, CalledTrigger):
        return admitted
    sent = 0 if call.body is None else len(call.body.text)
    characters = sent + admitted.payload_size
    if not allowance.takes_payload(characters):
        return BatchFull()
    return _Fitting(place, call, admitted, characters)


def _in_payloads(fitting: Iterable[_Fitting]) -> Iterator[list[_Fitting]]:
    """Groups calls so that their triggers' payloads have a few MiB together."""
    part, size, read = list[_Fitting](), 0, set[int]()
    for one in fitting:
        if one.trigger.id not in read and size + one.trigger.payload_size > _BYTES_PER_READ:
            yield part
            part, size, read = [], 0, set()
        if one.trigger.id not in read:
            read.add(one.trigger.id)
            size += one.trigger.payload_size
        part.append(one)
    if part:
        yield part


async def _make_events(
    triggers: CalledTriggers, fitting: Sequence[_Fitting], allowance: Allowance
) -> dict[int, _Decided]:
    """Reads the predefined payloads of some calls, and makes their events."""
    wanted = {one.call.trigger for one in fitting if one.trigger.payload_size}
    payloads = await triggers.read_predefined(wanted)
    gone = {one.id for one in wanted} - payloads.keys()  # a test locks no trigger
    triggers_read = {one.trigger.id: one.trigger for one in fitting if one.trigger.payload_size}
    whole = {one.id: one._replace(payload=payloads.get(one.id)) for one in triggers_read.values()}
    made = dict[int, _Decided]()
    for one in fitting:
        if one.trigger.id in gone:
            made[one.place] = missing(one.call)
        else:
            trigger = whole.get(one.trigger.id, one.trigger)
            made[one.place] = make_event(trigger, one.call, allowance)
        if allowance.counts_slice(one.characters):
            await asyncio.sleep(0)
    return made


def _in_reads(calls: Sequence[Call]) -> Iterator[list[int]]:
    """Groups the places of calls by trigger, in the order of ids, which prevents deadlocks."""
    ordered = sorted(range(len(calls)), key=lambda place: calls[place].trigger.id)
    by_trigger = [[*group] for _, group in groupby(ordered, lambda place: calls[place].trigger.id)]
    for start in range(0, len(by_trigger), _TRIGGERS_PER_READ):
        yield [*chain.from_iterable(by_trigger[start : start + _TRIGGERS_PER_READ])]
