"""Makes spans where the operator traces, and keeps, reads and sends W3C trace contexts.

Without a tracer, nothing is made, kept or sent: `TRACING.tracer` is all that is looked at then.
No attribute holds a payload, a header, a query or a path as it was sent.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from event_trigger.errors import Problem

ERROR_TYPE, ROUTE, EVENT_ID = "error.type", "http.route", "event_trigger.event.id"
_MESSAGE_ID = "messaging.message.id"
_W3C = TraceContextTextMapPropagator()
TRACE_HEADERS = frozenset(_W3C.fields)  # traceparent and tracestate


class Tracing:
    """Holds the tracer of the process; None unless the operator traces."""

    tracer: Tracer | None = None


TRACING = Tracing()


class FiredEvent(NamedTuple):
    """An event, as its span describes it; or `size` events of one project, of any triggers."""

    project_id: int
    trigger_id: int | None
    type: str
    size: int = 1
    is_test: bool = False
    scheduled_for: datetime | None = None
    replay_of: int | None = None


def start_firing(
    tracer: Tracer, event: FiredEvent, *, parent: Context | None = None, since: int | None = None
) -> Span:
    """Starts the span of one event, now or at a time in nanoseconds.

    Its parent is the current span, or else that of `parent`; an empty context begins a trace.
    """
    attributes: dict[str, str | int | bool] = {
        "messaging.system": "event_trigger",
        "messaging.operation.name": "fire",
        "messaging.operation.type": "create",
        "event_trigger.project.id": event.project_id,
        "event_trigger.event.type": event.type,
        "event_trigger.event.is_test": event.is_test,
    }
    if event.trigger_id is not None:
        attributes["event_trigger.trigger.id"] = event.trigger_id
    if event.size > 1:
        attributes["messaging.batch.message_count"] = event.size
    if event.scheduled_for is not None:
        attributes["event_trigger.event.scheduled_for"] = event.scheduled_for.isoformat()
    if event.replay_of is not None:
        attributes["event_trigger.event.replay_of"] = event.replay_of
    return tracer.start_span(
        "event_trigger.fire", parent, SpanKind.PRODUCER, attributes, start_time=since
    )


def end_firing(span: Span, event_id: int) -> None:
    """Ends the span of an event that is committed."""
    name_event(span, event_id)
    span.end()


def name_event(span: Span, event_id: int) -> None:
    span.set_attributes({EVENT_ID: event_id, _MESSAGE_ID: str(event_id)})


@contextmanager
def ended(span: Span) -> Iterator[None]:
    """Ends a span with the body, as failed if that raises."""
    try:
        yield
    except Exception as error:
        fail(span, error.slug if isinstance(error, Problem) else type(error).__qualname__)
        raise
    finally:
        span.end()


def fail(span: Span, error: str) -> None:
    span.set_attribute(ERROR_TYPE, error)
    span.set_status(StatusCode.ERROR)


def name_request(method: str, route: str) -> None:
    """Names the current span by a route, which has no id and no token in it."""
    span = get_current_span()
    span.set_attribute(ROUTE, route)
    span.update_name(f"{method} {route}")


def written_context(span: Span) -> str:
    """Writes the context of a span as it is stored: `traceparent`, and `tracestate` after a space.

    The tracestate has 512 characters or fewer: a longer one is not taken from a request.
    """
    return " ".join(sent_context(span).values())


def sent_context(span: Span) -> dict[str, str]:
    """Returns the headers that make the receiver's spans children of a span."""
    headers: dict[str, str] = {}
    _W3C.inject(headers, set_span_in_context(span, Context()))
    return headers


def read_context(written: str | None) -> Context:
    """Reads a stored context; an empty one begins a trace of its own."""
    if written is None:
        return Context()
    parent, _, state = written.partition(" ")
    return _W3C.extract({"traceparent": parent, "tracestate": state}, Context())


def current_ids() -> Mapping[str, str]:
    """Returns `trace_id` and `span_id` of the current span for a line of the log, if there is one.

    It is called only where something traces.
    """
    return ids_of(get_current_span())


def ids_of(span: Span) -> Mapping[str, str]:
    context = span.get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
