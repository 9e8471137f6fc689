"""Decides whose jobs are next: owners take turns, and so do the templates of each owner."""

import asyncio
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from event_trigger.destinations.templates.jobs import CheckJob, NotRendered, Rendered, is_template
from event_trigger.destinations.templates.wire import Answer, Job

_MOST_IN_BATCH = 128  # jobs
_LARGEST_BATCH = 256 * 1024  # characters of payloads

_Templates = tuple[str | None, str]


@dataclass(slots=True)
class Room:
    """The bytes of bodies that a caller still takes; it is full once a body did not fit."""

    left: int
    is_full: bool = False

    def take(self, size: int) -> bool:
        """Takes bytes if they fit."""
        self.is_full = self.is_full or size > self.left
        if not self.is_full:
            self.left -= size
        return not self.is_full


@dataclass(slots=True, eq=False)
class Waiting:
    """A job; it is a suspect if a process has ended with it in its batch."""

    job: Job
    outcome: asyncio.Future[Answer | NotRendered]
    is_suspect: bool = False
    room: Room = field(default_factory=lambda: Room(sys.maxsize))

    @property
    def owner_id(self) -> int:
        return self.job.owner_id

    @property
    def templates(self) -> _Templates:
        """The templates of the job, which make it expensive; a plain URL is no template."""
        return self.job.template, self.job.url if is_template(self.job.url) else ""

    @property
    def size(self) -> int:
        return 0 if isinstance(self.job, CheckJob) else len(self.job.payload or "")

    def settle(self, outcome: Answer | NotRendered) -> None:
        """Gives the outcome to the caller, who gets no body beyond its room."""
        if self.outcome.done():
            return
        if isinstance(outcome, Rendered) and not self.room.take(len(outcome.body or b"")):
            outcome = NotRendered()
        self.outcome.set_result(outcome)


class _Queue(deque[Waiting]):
    """The jobs of one template; it shares no batch once one that it was in took too long."""

    is_alone = False


_Queues = OrderedDict[_Templates, _Queue]


class Turns:
    """Holds the jobs that wait, by owner and by template."""

    def __init__(self) -> None:
        self._owners: OrderedDict[int, _Queues] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._owners)

    def add(self, one: Waiting) -> None:
        queues = self._owners.setdefault(one.owner_id, OrderedDict())
        queues.setdefault(one.templates, _Queue()).append(one)

    def put_back(self, jobs: Sequence[Waiting], *, of: Sequence[Waiting]) -> None:
        """Lets jobs wait again, in their order and before others, after a batch without them.

        One of the templates `of` that batch is expensive: each has batches of its own from now on.
        """
        for one in reversed(jobs):
            queues = self._owners.setdefault(one.owner_id, OrderedDict())
            queues.setdefault(one.templates, _Queue()).appendleft(one)
            queues.move_to_end(one.templates, last=False)
        for one in of if jobs else ():
            waiting = self._owners.get(one.owner_id)
            if waiting is not None and one.templates in waiting:
                waiting[one.templates].is_alone = True

    def take_batch(self) -> list[Waiting]:
        """Takes jobs of the owner whose turn it is; afterwards it is that of all others.

        Jobs that were given up cost their owner no turn, and keep its place while they wait: when
        it comes back with others, it goes on waiting where it was.
        """
        batch: list[Waiting] = []
        while self._owners and not batch:
            owner_id, queues = self._owners.popitem(last=False)
            batch = _take(queues)
            if queues:
                self._owners[owner_id] = queues
        return batch

    def take_all(self) -> Iterator[Waiting]:
        while batch := self.take_batch():
            yield from batch


def _take(queues: _Queues) -> list[Waiting]:
    """Takes the next batch of an owner: of several templates, or of one that is alone."""
    batch: list[Waiting] = []
    while queues and not batch:
        templates, queue = next(iter(queues.items()))
        if queue.is_alone:
            alone = OrderedDict({templates: queues.pop(templates)})
            batch = _take_in_turns(alone, are_alone=True)
            queues.update(alone)
        else:
            batch = _take_in_turns(queues, are_alone=False)
    return batch


def _take_in_turns(queues: _Queues, *, are_alone: bool) -> list[Waiting]:
    """Takes jobs up to the limits of a batch, one of each template in turn, and a suspect alone.

    Leaves out those given up, and stops at a template that has to be alone, unless all are.
    """
    batch: list[Waiting] = []
    size = 0
    while queues and len(batch) < _MOST_IN_BATCH and size < _LARGEST_BATCH:
        templates, queue = next(iter(queues.items()))
        if queue.is_alone != are_alone:
            break
        if batch and (batch[-1].is_suspect or queue[0].is_suspect):
            break
        one = queue.popleft()
        if not queue:
            del queues[templates]
        if one.room.is_full:
            one.settle(NotRendered())
        if not one.outcome.done():
            batch.append(one)
            size += one.size
            if queue:
                queues.move_to_end(templates)
    return batch
