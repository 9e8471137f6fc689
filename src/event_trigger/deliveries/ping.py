"""Tests a destination with one sample, and gives the attempt without storing it."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.installation import read_installation
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.deliveries.attempt_trace import end_request, start_request
from event_trigger.deliveries.http.cloud_event import CloudEvent, source_of
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.http.signed_message import write_signed
from event_trigger.deliveries.mail.sending import send_mail
from event_trigger.deliveries.mail.writing import mail_of
from event_trigger.deliveries.rendering import render_job
from event_trigger.deliveries.schemas import AttemptRead
from event_trigger.destinations.form_check import TemplatesUnchecked
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.signing_secrets import secrets_of
from event_trigger.destinations.templates.jobs import (
    NotRendered,
    Rendered,
    TemplateFailed,
    event_variables,
)
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.errors import NotFound, Problem
from event_trigger.events.trigger_names import NAMELESS, TriggerNames
from event_trigger.mail.sender import Mailer
from event_trigger.models import NOTICE_TYPE, DeliveryError, Destination, NoticeKind
from event_trigger.notices.repository import as_json
from event_trigger.notices.wording import sample_of
from event_trigger.tracing import TRACING
from event_trigger.vault import Vault

_TYPE = "test"
PING_PAYLOAD = '{"message":"This is a test of your destination."}'
MOST_PINGS_OF_OWNER = 4  # at a time; each may last as long as its destination's timeout
_pings_in_flight: Counter[int] = Counter()  # in this process, by owner


class TooManyPings(Problem):
    """Answers 429 until one of the owner's pings has ended."""

    status, slug, title = 429, "too-many-tests", "Too many tests"
    default_detail = f"{MOST_PINGS_OF_OWNER} tests are under way. Wait until one of them has ended."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class _Sample:
    """The content of a ping: an event that never was, or a notice, which has a subject."""

    type: str
    payload: str
    subject: str | None = None


def _sample(destination: Destination, payload: str | None) -> _Sample:
    if payload is not None or not destination.notices:
        return _Sample(_TYPE, payload or PING_PAYLOAD)
    kind = NoticeKind(destination.notices[0])
    notice = sample_of(kind)
    return _Sample(f"{NOTICE_TYPE}{kind}", as_json(notice), notice["subject"])


@dataclass(frozen=True, slots=True)
class Pinger:
    """Sends pings on behalf of one request, which `hops` deliveries have led to."""

    sessions: Sessions
    vault: Vault
    sender: Sender
    mailer: Mailer | None
    renderer: Renderer
    public_url: str | None
    hops: int

    async def ping(self, key: OwnedId, payload: str | None) -> AttemptRead:
        """Sends a signed sample now; no transaction is open while it waits for the response.

        `payload` is JSON text. Without one, it is a sample: of a notice, if the destination hears
        of changes. A disabled destination gets one too, so that its owner can see whether it works
        again. Raises NotFound, and TooManyPings, since no other limit applies to the caller.
        """
        with _counted(key.owner_id):
            return await self._ping(key, payload)

    async def _ping(self, key: OwnedId, payload: str | None) -> AttemptRead:
        async with self.sessions.begin() as session:
            destination = await Destinations(session).get(key)
            if destination is None:
                raise NotFound
            now = await database_now(session)
            installation = await read_installation(session)
        message_id = f"test_{uuid4().hex}"
        sample = _sample(destination, payload)
        event = CloudEvent(
            id=message_id,
            source=source_of(
                "destination", key.id, installation=installation, public_url=self.public_url
            ),
            type=sample.type,
            time=now,
            payload=sample.payload,
            is_test=True,
            subject=sample.subject,
        )
        form = RequestForm.of(destination)
        rendered = None
        if form.is_rendered:
            rendered = await self._render(form, sample, owner_id=key.owner_id, now=now)
        if isinstance(rendered, TemplateFailed):
            failed = AttemptResult(DeliveryError.TEMPLATE_FAILED, reason=rendered.reason)
            return _read(failed, attempted_at=now, seconds=0.0)
        began = time.perf_counter()
        if form.is_mail:
            mail = mail_of(event, form, rendered, id_=message_id)
            result = await send_mail(self.mailer, mail, within=destination.timeout)
        else:
            result = await self._send(event, destination, rendered, at=now)
        return _read(result, attempted_at=now, seconds=time.perf_counter() - began)

    async def _send(
        self,
        event: CloudEvent,
        destination: Destination,
        rendered: Rendered | None,
        *,
        at: datetime,
    ) -> AttemptResult:
        secrets, form = secrets_of(destination, self.vault), RequestForm.of(destination)
        message = write_signed(
            event, form, rendered, secrets, message_id=event.id, at=at, hops=self.hops + 1
        )
        span = None
        if TRACING.tracer is not None:
            url = None if rendered else message.url
            span = start_request(TRACING.tracer, message.method, url, message.headers)
        result = await self.sender.send(
            message.url,
            message.headers,
            message.body,
            within=destination.timeout,
            method=message.method,
            certificate=secrets.client_certificate,
        )
        if span is not None:
            end_request(span, result.status_code, result.error)
        return result

    async def _render(
        self, form: RequestForm, sample: _Sample, *, owner_id: int, now: datetime
    ) -> Rendered | TemplateFailed:
        """Renders a sample; raises TemplatesUnchecked if it has no turn in time."""
        event = event_variables(
            event_id=0,  # no event has it: receivers remember ids
            event_type=sample.type,
            time=now,
            scheduled_for=None,
            is_test=True,
            trigger_id=0 if sample.subject is None else None,
            trigger=TriggerNames("test", "Test") if sample.subject is None else NAMELESS,
        )
        job = render_job(form, event, sample.payload, owner_id=owner_id)
        outcome = await self.renderer.try_out(job)
        if isinstance(outcome, NotRendered):
            raise TemplatesUnchecked
        return outcome


def _read(result: AttemptResult, *, attempted_at: datetime, seconds: float) -> AttemptRead:
    return AttemptRead(
        attempted_at=attempted_at,
        duration_ms=round(seconds * 1000, 3),
        status_code=result.status_code,
        error=result.error,
        reason=result.reason,
        response=result.response,
        location=result.location,
    )


@contextmanager
def _counted(owner_id: int) -> Iterator[None]:
    if _pings_in_flight[owner_id] >= MOST_PINGS_OF_OWNER:
        raise TooManyPings
    _pings_in_flight[owner_id] += 1
    try:
        yield
    finally:
        _pings_in_flight[owner_id] -= 1
        if not _pings_in_flight[owner_id]:
            del _pings_in_flight[owner_id]
