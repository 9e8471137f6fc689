"""Holds calls that wait for a transaction, and measures those that were fired."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from event_trigger.firing.called_events import count_called
from event_trigger.firing.fire import Call, CallAnswer
from event_trigger.firing.pings import PingAnswer
from event_trigger.models import EventType
from event_trigger.telemetry import FIRING_LAG

CALLS_PER_COMMIT = 100
CHARACTERS_PER_COMMIT = 4 * 1024 * 1024  # of bodies; a larger one goes alone


@dataclass(eq=False, slots=True)
class QueuedCall:
    """A call that waits for its transaction, and then for its answer."""

    call: Call
    answer: asyncio.Future[CallAnswer | PingAnswer]
    came_at: float = field(default_factory=time.perf_counter)
    retries: int = 0

    @property
    def characters(self) -> int:
        """The length of the payload that it stores or waits for, as JSON text."""
        body, replayed = self.call.body, self.call.replayed
        of_event = 0 if replayed is None else len(replayed.payload or "")
        return of_event + (0 if body is None else len(body.text))


def measure(fired: Sequence[QueuedCall]) -> None:
    now = time.perf_counter()
    types = [EventType.API if one.call.ping is None else EventType.HEARTBEAT for one in fired]
    count_called((kind, one.call.is_test) for kind, one in zip(types, fired, strict=True))
    for kind, one in zip(types, fired, strict=True):
        FIRING_LAG[kind].observe(now - one.came_at)


def take(queue: deque[QueuedCall]) -> list[QueuedCall]:
    """Takes the calls of one commit off a queue, and leaves out callers that have hung up."""
    taken, characters = list[QueuedCall](), 0
    while queue and len(taken) < CALLS_PER_COMMIT:
        characters += queue[0].characters
        if characters > CHARACTERS_PER_COMMIT and taken:
            break
        one = queue.popleft()
        if not one.answer.done():
            taken.append(one)
    return taken
