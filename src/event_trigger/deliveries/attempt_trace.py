"""Makes the spans of attempts: one of the delivery, and below it one of the request."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer, set_span_in_context

from event_trigger.deliveries.queue.deliveries import ClaimedDelivery
from event_trigger.deliveries.queue.outcomes import AttemptOutcome
from event_trigger.models import DeliveryError, DestinationMethod
from event_trigger.tracing import (
    TRACE_HEADERS,
    fail,
    ids_of,
    name_event,
    read_context,
    sent_context,
)


class AttemptTrace:
    """The spans of one attempt, from its claim to its outcome."""

    def __init__(self, tracer: Tracer, delivery: ClaimedDelivery, *, project_id: int) -> None:
        self._tracer = tracer
        self._resent = delivery.tries
        self._request: Span | None = None
        self._span = tracer.start_span(
            "event_trigger.delivery",
            read_context(delivery.trace_context),
            SpanKind.CONSUMER,
            {
                "messaging.system": "event_trigger",
                "messaging.operation.name": "deliver",
                "messaging.operation.type": "process",
                "event_trigger.project.id": project_id,
                "event_trigger.trigger.id": delivery.trigger_id,
                "event_trigger.destination.id": delivery.destination_id,
                "event_trigger.delivery.id": delivery.id,
            },
        )
        name_event(self._span, delivery.event_id)

    @property
    def ids(self) -> Mapping[str, str]:
        """Names the trace for a line of the log."""
        return ids_of(self._span)

    def begin_request(
        self, method: DestinationMethod, url: str | None, headers: dict[str, str]
    ) -> None:
        """Starts the span of the request, and puts its context into the headers."""
        parent = set_span_in_context(self._span, Context())
        self._request = start_request(self._tracer, method, url, headers, parent=parent)
        if self._resent:
            self._request.set_attribute("http.request.resend_count", self._resent)

    def end(self, outcome: AttemptOutcome) -> None:
        if self._request is not None:
            end_request(self._request, outcome.status_code, outcome.error)
        self._span.set_attribute("event_trigger.delivery.status", outcome.status)
        if outcome.error is not None:
            fail(self._span, outcome.error)
        self._span.end()


def start_request(
    tracer: Tracer,
    method: DestinationMethod,
    url: str | None,
    headers: dict[str, str],
    *,
    parent: Context | None = None,
) -> Span:
    """Starts the span of a request, and puts its context into the headers.

    It names the host, and neither path nor query; of a URL that a template makes, which is None
    here, not even that. Without a `parent` it is a child of the current span.
    """
    attributes: dict[str, str | int] = {"http.request.method": method}
    if url is not None:
        parts = urlsplit(url)
        attributes |= {
            "url.scheme": parts.scheme,
            "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        }
    span = tracer.start_span(str(method), parent, SpanKind.CLIENT, attributes)
    for name in [one for one in headers if one.lower() in TRACE_HEADERS]:
        del headers[name]  # the destination's own
    headers.update(sent_context(span))
    return span


def end_request(span: Span, status_code: int | None, error: DeliveryError | None) -> None:
    if status_code is not None:
        span.set_attribute("http.response.status_code", status_code)
    if error is not None:
        fail(span, error if status_code is None else str(status_code))
    span.end()
