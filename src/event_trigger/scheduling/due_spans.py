"""Makes the spans of the events of one batch: a due instant, or a deadline, begins a trace."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from opentelemetry.trace import Span

from event_trigger.events.event_writer import StoredEvent
from event_trigger.models import EventType
from event_trigger.tracing import (
    TRACING,
    FiredEvent,
    end_firing,
    read_context,
    start_firing,
    written_context,
)

_SPANS_PER_YIELD = 32  # they take two milliseconds


class DueSpans:
    """The spans of a batch from its record to its commit; without a tracer there are none.

    All events of the batch are of one `type`.
    """

    def __init__(self, type_: EventType) -> None:
        self._type = type_
        self.tracer = TRACING.tracer
        self._since = time.time_ns() if self.tracer is not None else 0
        self._started: list[tuple[Span, int]] = []

    async def start(
        self, stored: Sequence[StoredEvent], owners: Iterable[tuple[int, int]]
    ) -> Sequence[str | None]:
        """Starts a span for each event, and gives the trace contexts that its deliveries keep.

        `owners` has pairs of a trigger and its owner.
        """
        if self.tracer is None:
            return [None] * len(stored)
        traces, owner_ids = list[str | None](), dict(owners)
        for event in stored:
            assert event.trigger_id is not None
            fired = FiredEvent(
                owner_ids[event.trigger_id],
                event.trigger_id,
                self._type,
                scheduled_for=event.scheduled_for,
            )
            span = start_firing(self.tracer, fired, parent=read_context(None), since=self._since)
            self._started.append((span, event.id))
            traces.append(written_context(span))
            if len(traces) % _SPANS_PER_YIELD == 0:
                await asyncio.sleep(0)
        return traces

    def end(self) -> None:
        """Ends them, once the events are committed."""
        for span, event_id in self._started:
            end_firing(span, event_id)
