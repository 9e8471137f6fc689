"""Renders, sends and records the claimed deliveries of one process."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from event_trigger.db.engine import Sessions
from event_trigger.db.errors import log_fields
from event_trigger.deliveries.attempt import Attempt, decide_outcome, new_attempt
from event_trigger.deliveries.attempt_log import AttemptLog
from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.deliveries.capacity import Capacity
from event_trigger.deliveries.completed import CompletedAttempt, held_bytes
from event_trigger.deliveries.completer import Completer
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.leases import LateLeases, Leases
from event_trigger.deliveries.mail.allowances import MailAllowances
from event_trigger.deliveries.outgoing import Outgoing, read_secrets
from event_trigger.deliveries.queue.deliveries import ClaimedDelivery
from event_trigger.deliveries.queue.destinations import LockedDestination
from event_trigger.deliveries.rendering import (
    RENDER_SECONDS,
    SEND_WITHIN,
    Claimed,
    RequestRendering,
)
from event_trigger.deliveries.sending_queue import AT_ONCE, SendingQueue
from event_trigger.destinations.circuit_breaker import verdict_of
from event_trigger.destinations.signing_secrets import Secrets
from event_trigger.destinations.templates.jobs import (
    NotRendered,
    Rendered,
    RenderOutcome,
    TemplateFailed,
)
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.mail.sender import Mailer
from event_trigger.models import DeliveryError
from event_trigger.vault import Vault

log = structlog.get_logger()

NOT_RENDERED_RETRY = timedelta(seconds=1)
_NOT_SENT = AttemptResult(DeliveryError.PROTOCOL_VIOLATED)
RENDERED_AT_ONCE = 64  # requests; `Capacity.reserve_bodies` bounds their bytes
_CLAIMED_PER_YIELD = 64


@dataclass(frozen=True, slots=True)
class AttemptParts:
    """The parts of the process that attempts need; `schedule` has the seconds before retries."""

    sender: Sender
    renderer: Renderer
    vault: Vault
    schedule: Sequence[float]
    public_url: str | None
    counts_destinations: bool = False
    mailer: Mailer | None = None
    mails: MailAllowances = field(default_factory=MailAllowances)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A delivery whose secrets could be read, claimed at an instant of `perf_counter`."""

    attempt: Attempt
    delivery: ClaimedDelivery
    destination: LockedDestination
    secrets: Secrets = field(repr=False)
    claimed_at: float


class Attempts:
    """Keeps the attempts that are under way, and their share of the process's capacity."""

    def __init__(
        self,
        sessions: Sessions,
        parts: AttemptParts,
        capacity: Capacity,
        *,
        on_capacity: Callable[[], None],
    ) -> None:
        self._sessions, self._parts, self._capacity = sessions, parts, capacity
        self._on_capacity = on_capacity
        self._leases = Leases(sessions)
        self._late = LateLeases(self._leases)
        self._outgoing = Outgoing(parts.sender, parts.mailer, parts.public_url)
        self._to_send = SendingQueue(self._send_claimed)
        self._rendering = RequestRendering(sessions, parts.renderer)
        self._in_rendering: dict[asyncio.Task[None], dict[int, Attempt]] = {}  # by delivery
        self._in_flight: dict[asyncio.Future[AttemptResult], Attempt] = {}
        self.completer = Completer(
            sessions,
            on_recorded=self._free_capacity,
            counts_destinations=parts.counts_destinations,
        )
        self._attempt_log = AttemptLog(time.monotonic)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    async def start(self, claimed: Claimed) -> None:
        """Takes capacity for claimed deliveries, whose requests are sent from then on.

        Those with templates are sent when their project's are rendered. It waits for neither.
        """
        claimed_at = time.perf_counter()
        destinations = {one.id: one for _, one in claimed}
        secrets = {key: read_secrets(one, self._parts.vault) for key, one in destinations.items()}
        to_render: dict[int, list[_Claimed]] = {}
        for place, (delivery, destination) in enumerate(claimed, start=1):
            attempt = new_attempt(delivery, destination)
            self._capacity.acquire(attempt, count=1, size=attempt.size)
            if (opened := secrets[destination.id]) is None:
                failed = AttemptResult(DeliveryError.SECRET_UNREADABLE)
                self._complete(attempt, failed, destination.now, 0.0)
                continue
            one = _Claimed(attempt, delivery, destination, opened, claimed_at)
            if attempt.form is not None:
                to_render.setdefault(attempt.owner_id, []).append(one)
            else:
                self._to_send.add(one)
            if place % _CLAIMED_PER_YIELD == 0:
                await asyncio.sleep(0)
        for group in to_render.values():
            unsent = {one.delivery.id: one.attempt for one in group}
            task = asyncio.create_task(self._render(group, unsent))
            self._in_rendering[task] = unsent
            task.add_done_callback(self._in_rendering.pop)

    async def _render(self, group: Sequence[_Claimed], unsent: dict[int, Attempt]) -> None:
        """Renders and sends requests; takes from `unsent` what needs no new lease.

        It begins no request after SEND_WITHIN: the lease could end before the attempt does, and
        another process would send it as well.
        """
        began = time.perf_counter()
        try:
            for start in range(0, len(group), RENDERED_AT_ONCE):
                left = began + RENDER_SECONDS - time.perf_counter()
                if left <= 0 or self._capacity.is_used_up:  # what was rendered before is large
                    break
                some = group[start : start + RENDERED_AT_ONCE]
                room = self._capacity.reserve_bodies(some[0].attempt)
                if room is None:
                    break
                try:
                    claimed = [(one.delivery, one.destination) for one in some]
                    outcomes = await self._rendering.render(
                        some[0].attempt.shard, claimed, within=left, most_bytes=room
                    )
                    await self._go_on_with(some, outcomes, unsent, began)
                finally:
                    self._capacity.release_bodies(some[0].attempt, room)
                if any(one.delivery.id in unsent for one in some):
                    break  # newer ones would overtake them
            if unsent:
                self._attempt_log.note_unrendered(unsent.values())
                await self._leases.put_back([*unsent.values()], after=NOT_RENDERED_RETRY)
        except Exception as error:  # the leases expire, and any process tries again
            log.error("requests_not_sent", **log_fields(error))
        finally:
            for attempt in unsent.values():
                self._capacity.release(attempt, count=1, size=attempt.size)
            if unsent:
                self._on_capacity()

    async def _go_on_with(
        self,
        some: Sequence[_Claimed],
        outcomes: Mapping[int, RenderOutcome],
        unsent: dict[int, Attempt],
        began: float,
    ) -> None:
        for place, one in enumerate(some, start=1):
            waited = time.perf_counter() - began
            if waited > SEND_WITHIN:
                break
            at = one.destination.now + timedelta(seconds=waited)
            if self._go_on(one, outcomes.get(one.delivery.id), at=at):
                del unsent[one.delivery.id]
            if place % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _go_on(self, one: _Claimed, outcome: RenderOutcome | None, *, at: datetime) -> bool:
        """Sends a rendered request, or ends its delivery; False if neither can be done now."""
        match outcome:
            case Rendered(body=body) as rendered:
                self._capacity.acquire(one.attempt, count=0, size=len(body or b""))
                self._send(one, rendered, at=at)
            case TemplateFailed(reason=reason):
                failed = AttemptResult(DeliveryError.TEMPLATE_FAILED, reason=reason)
                self._complete(one.attempt, failed, at, 0.0)
            case NotRendered() | None:
                return False
        return True

    def _send_claimed(self, one: _Claimed) -> None:
        """Sends a request that needs no rendering, unless the process stood still until now."""
        waited = time.perf_counter() - one.claimed_at
        if waited > SEND_WITHIN:  # another process may have the delivery before this one ends
            self._capacity.release(one.attempt, count=1, size=one.attempt.size)
            self._late.add(one.attempt)
        else:
            self._send(one, None, at=one.destination.now + timedelta(seconds=waited))

    def _send(self, one: _Claimed, rendered: Rendered | None, *, at: datetime) -> None:
        """Sends a request at an instant of the database's clock; one that cannot be has failed."""
        began = time.perf_counter()
        try:
            response = self._outgoing.start(
                one.delivery, one.destination, one.secrets, rendered, at=at, trace=one.attempt.trace
            )
        except Exception:
            log.exception("attempt_failed", delivery_id=one.delivery.id)
            self._complete(one.attempt, _NOT_SENT, at, 0.0, rendered)
        else:
            self._in_flight[response] = one.attempt
            response.add_done_callback(partial(self._responded, one, rendered, at, began))

    def _responded(
        self,
        one: _Claimed,
        rendered: Rendered | None,
        at: datetime,
        began: float,
        response: asyncio.Future[AttemptResult],
    ) -> None:
        attempt, seconds = one.attempt, time.perf_counter() - began
        del self._in_flight[response]
        if response.cancelled():
            self._capacity.release(attempt, count=1, size=held_bytes(attempt, rendered))
            return
        if (failure := response.exception()) is not None:
            log.error("attempt_failed", delivery_id=attempt.delivery_id, exc_info=failure)
        result = response.result() if failure is None else _NOT_SENT
        self._complete(attempt, result, at, seconds, rendered)

    def _complete(
        self,
        attempt: Attempt,
        result: AttemptResult,
        attempted_at: datetime,
        seconds: float,
        rendered: Rendered | None = None,
    ) -> None:
        """Decides the outcome and hands it to the completer; all instants are the database's."""
        self._capacity.release_answered(attempt)
        outcome = decide_outcome(
            attempt,
            result,
            attempted_at=attempted_at,
            ended_at=attempted_at + timedelta(seconds=seconds),
            schedule=self._parts.schedule,
            jitter=random.uniform(-1, 1),  # noqa: S311
        )
        self._attempt_log.note(attempt, result)
        verdict = result.verdict or verdict_of(result.status_code)
        self.completer.add(CompletedAttempt(attempt, outcome, verdict, rendered))

    def _free_capacity(self, group: Sequence[CompletedAttempt]) -> None:
        for one in group:
            self._capacity.release_recorded(one.attempt, size=held_bytes(one.attempt, one.rendered))
        self._on_capacity()

    async def drain(self, within: float) -> None:
        """Waits up to `within` seconds for attempts in flight; releases the leases of the rest.

        What is being rendered is not sent any more, and due again at once.
        """
        deadline = time.monotonic() + within
        await self._stop_rendering()
        if unsent := await self._to_send.drain(max(0.5, within)):
            await self._leases.put_back([one.attempt for one in unsent], after=None)
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=max(0.0, deadline - time.monotonic()))
        unfinished = {
            response: one for response, one in self._in_flight.items() if response.cancel()
        }
        if unfinished:
            await asyncio.wait(unfinished)
            await self._leases.release([*unfinished.values()])
        await self.completer.drain(max(0.5, deadline - time.monotonic()))

    async def _stop_rendering(self) -> None:
        cancelled = {task: unsent for task, unsent in self._in_rendering.items() if task.cancel()}
        if cancelled:
            await asyncio.wait(cancelled)
            unsent = [one for group in cancelled.values() for one in group.values()]
            await self._leases.put_back(unsent, after=None)
