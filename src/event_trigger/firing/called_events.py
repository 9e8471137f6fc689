"""Stores the events of calls and replays: a few statements for many of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from opentelemetry.trace import Span, Tracer

from event_trigger.db.citus.few_rows import FewRows
from event_trigger.db.numbered import joined_texts
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.db.transactions import after_commit
from event_trigger.deliveries.outbox import store_deliveries
from event_trigger.events.event_writer import STORED, EventWriter, StoredEvent
from event_trigger.events.source import EventSource
from event_trigger.models import EventType
from event_trigger.telemetry import EVENTS_FIRED
from event_trigger.tracing import (
    TRACING,
    FiredEvent,
    end_firing,
    start_firing,
    written_context,
)
from event_trigger.triggers.schedule.pings import HeartbeatEvent

_CHARACTERS_PER_STATEMENT = 4 * 1024 * 1024  # of payloads
_EVENTS_PER_STATEMENT = 1_000  # each may go to 50 destinations
_MOST_SPANS = 100  # of a transaction
_INSERT_CALLED_EVENTS = """
    INSERT INTO events (shard, owner_id, trigger_id, type, payload, is_test, replay_of, hops,
        source_kind, source, xid)
    SELECT {shard}, called.owner_id, called.trigger_id, called.type,
        CAST(called.payload AS json), called.is_test, called.replay_of, called.hops,
        called.source_kind, CAST(called.source AS json), {{xid}}
    FROM unnest(
        CAST(:shards AS smallint[]), CAST(:owner_ids AS bigint[]), CAST(:trigger_ids AS bigint[]),
        string_to_array(CAST(:joined_payloads AS text), chr(31), ''),
        CAST(:are_tests AS boolean[]), CAST(:replays_of AS bigint[]), CAST(:hops AS smallint[]),
        string_to_array(CAST(:joined_source_kinds AS text), chr(31), ''),
        string_to_array(CAST(:joined_sources AS text), chr(31), ''),
        string_to_array(CAST(:joined_types AS text), chr(31), '')
    ) WITH ORDINALITY AS called (shard, owner_id, trigger_id, payload, is_test, replay_of, hops,
        source_kind, source, type, place)
    ORDER BY called.place
"""
_FEW_CALLED_EVENTS = FewRows(
    """
    INSERT INTO events (shard, owner_id, trigger_id, type, payload, is_test, replay_of, hops,
        source_kind, source, xid)
    """,
    """(
    CAST(:shard AS smallint), (CAST(:owner_ids AS bigint[]))[{place}],
    (CAST(:trigger_ids AS bigint[]))[{place}], (CAST(:types AS text[]))[{place}],
    CAST((CAST(:payloads AS text[]))[{place}] AS json), (CAST(:are_tests AS boolean[]))[{place}],
    (CAST(:replays_of AS bigint[]))[{place}], (CAST(:hops AS smallint[]))[{place}],
    (CAST(:source_kinds AS text[]))[{place}], CAST((CAST(:sources AS text[]))[{place}] AS json),
    CAST(:xid AS bigint))""",
    "RETURNING id, triggered_at",
)
_COUNT_CALLS = """
    UPDATE triggers SET
        fire_count = triggers.fire_count + called.count,
        last_fired_at = statement_timestamp()
    FROM unnest(
        CAST(:called_shards AS smallint[]), CAST(:ids AS bigint[]), CAST(:counts AS bigint[])
    ) AS called (shard, id, count)
    WHERE triggers.shard = {shard} AND triggers.id = called.id
"""
_IN_SHARD, _IN_SHARDS = (
    (_INSERT_CALLED_EVENTS.format(shard=inserted), _COUNT_CALLS.format(shard=counted))
    for inserted, counted in (
        ("CAST(:shard AS smallint)", ":shard"),
        ("called.shard", "called.shard"),
    )
)
_WRITERS = {  # by whether all events are of one shard, and whether they are announced
    (is_one, announces): EventWriter(
        *(_IN_SHARD if is_one else _IN_SHARDS),
        returns=STORED,
        announces=announces,
        few=_FEW_CALLED_EVENTS,
    )
    for is_one in (True, False)
    for announces in (True, False)
}


class NewEvent(NamedTuple):
    """The event of a call or a replay, before it is stored.

    `payload` is JSON text, stored to the letter: a body keeps its spelling. `configured_at` is the
    instant of the last change of the called trigger. `trace` is the trace context of a call that
    has a span already. `told` is the change of a heartbeat that it tells, if a ping has made one.
    """

    trigger: OwnedId
    payload: str | None
    is_test: bool
    has_destinations: bool
    replay_of: int | None = None
    hops: int = 0
    source: EventSource | None = None
    configured_at: datetime | None = None
    trace: str | None = None
    told: HeartbeatEvent | None = None

    @property
    def type(self) -> EventType:
        return EventType.API if self.told is None else EventType.HEARTBEAT

    @property
    def is_counted(self) -> bool:
        """Tells whether `fire_count` includes the event: tests and replays are left out."""
        return not self.is_test and self.replay_of is None


async def store_events(
    session: ReadSession, new: Sequence[NewEvent], *, announces: bool
) -> list[StoredEvent]:
    """Stores events and their deliveries, and counts them in their triggers.

    Gives them in the order of `new`. In a cluster, all are of one shard. One that does not announce
    leaves that, and counting them, to its caller, for after the commit.
    """
    stored: list[StoredEvent] = []
    for group in _in_statements(new):
        stored += await _store(session, group, announces=announces)
    traces = [one.trace for one in new]
    if announces:
        after_commit(session, lambda: count_called([(one.type, one.is_test) for one in new]))
        if TRACING.tracer is not None:
            traces = _trace(TRACING.tracer, session, new, stored)
    sent = [
        (event, one.trigger.shard, trace)
        for event, one, trace in zip(stored, new, traces, strict=True)
        if one.has_destinations
    ]
    for start in range(0, len(sent), _EVENTS_PER_STATEMENT):
        events, shards, kept = zip(*sent[start : start + _EVENTS_PER_STATEMENT], strict=True)
        await store_deliveries(session, events, shards=shards, traces=kept, announces=announces)
    return stored


def _trace(
    tracer: Tracer, session: ReadSession, new: Sequence[NewEvent], stored: Sequence[StoredEvent]
) -> list[str | None]:
    """Makes the spans of events, which end with the commit, and gives their trace contexts.

    More than a hundred have one span together: theirs would hold the event loop.
    """
    if len(new) > _MOST_SPANS:
        many = FiredEvent(new[0].trigger.owner_id, None, EventType.API, len(new))
        span = start_firing(tracer, many)
        after_commit(session, span.end)
        return [written_context(span)] * len(new)
    spans = list[Span]()
    for one in new:
        event = FiredEvent(
            one.trigger.owner_id,
            one.trigger.id,
            one.type,
            is_test=one.is_test,
            replay_of=one.replay_of,
        )
        spans.append(start_firing(tracer, event))

    def end() -> None:
        for span, event in zip(spans, stored, strict=True):
            end_firing(span, event.id)

    after_commit(session, end)
    return [written_context(span) for span in spans]


def count_called(kinds: Iterable[tuple[EventType, bool]]) -> None:
    """Counts the events of calls that are committed, by type and whether they are tests."""
    for kind, count in Counter(kinds).items():
        EVENTS_FIRED[kind].inc(count)


async def _store(
    session: ReadSession, new: Sequence[NewEvent], *, announces: bool
) -> list[StoredEvent]:
    counts = Counter([one.trigger for one in new if one.is_counted])
    shards = [one.trigger.shard for one in new]
    is_one = shards.count(shards[0]) == len(shards)
    texts: dict[str, list[str | None]] = {
        "types": [one.type for one in new],
        "payloads": [one.payload for one in new],
        "source_kinds": [one.source and one.source.kind for one in new],
        "sources": [one.source and one.source.as_json() for one in new],
    }
    stored = await _WRITERS[is_one, announces].write(
        session,
        {one.trigger.owner_id for one in new},
        {
            "shard": shards[0],
            "shards": shards,
            "owner_ids": [one.trigger.owner_id for one in new],
            "trigger_ids": [one.trigger.id for one in new],
            "are_tests": [one.is_test for one in new],
            "replays_of": [one.replay_of for one in new],
            "hops": [one.hops for one in new],
            **texts,
            **{f"joined_{name}": joined_texts(each) for name, each in texts.items()},
            "called_shards": [one.shard for one in counts],
            "ids": [one.id for one in counts],
            "counts": [*counts.values()],
        },
        count=len(new),
    )
    return sorted(stored)  # by id, which is the order of the INSERT


def _in_statements(new: Sequence[NewEvent]) -> Iterator[list[NewEvent]]:
    """Groups events so that one statement has a thousand, whose payloads are of a few MiB."""
    group: list[NewEvent] = []
    size = 0
    for one in new:
        group.append(one)
        size += len(one.payload or "")
        if size > _CHARACTERS_PER_STATEMENT or len(group) == _EVENTS_PER_STATEMENT:
            yield group
            group, size = [], 0
    if group:
        yield group
