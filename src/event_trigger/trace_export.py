"""Sends spans to a collector of OpenTelemetry, by the standard variables `OTEL_…`.

The packages that do it come with the extra `otel`, and are imported only where they are wanted. A
thread of the SDK sends what its bounded queue holds, so that no request waits for a collector.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Protocol, Self

import structlog
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Tracer, TracerProvider
from opentelemetry.util.types import Attributes

from event_trigger import __version__
from event_trigger.tracing import TRACING

log = structlog.get_logger()

EXTRA = "event-trigger[otel]"
FLUSH_SECONDS = 5.0  # at the end of the process
LONGEST_VALUE = 256  # characters of an attribute: strangers choose their Host
SAY_AGAIN_SECONDS = 60.0
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LENGTHS = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
_NOT_EXPORTED = frozenset({"url.path", "url.query", "http.request.method_original"})


class CannotTrace(StrEnum):
    """Says why nothing is traced although a collector is named."""

    NO_EXTRA = f"Install {EXTRA} with pip, or unset OTEL_EXPORTER_OTLP_ENDPOINT."
    NOT_HTTP = "Set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf, on the collector's port for it."


def why_not_traced(environment: Mapping[str, str] = os.environ) -> CannotTrace | None:
    """Returns a reason if tracing is asked for and cannot be had."""
    if not _is_wanted(environment):
        return None
    protocol = next((environment[one] for one in _PROTOCOLS if environment.get(one)), "")
    if protocol not in {"", "http/protobuf"}:
        return CannotTrace.NOT_HTTP
    wanted = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
    return None if all(map(_is_installed, wanted)) else CannotTrace.NO_EXTRA


def _is_wanted(environment: Mapping[str, str]) -> bool:
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporters = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    names_collector = any(environment.get(one) for one in _ENDPOINTS)
    return names_collector and not is_off and "otlp" in exporters.split(",")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


class _Sdk(Protocol):
    def get_tracer(self, name: str, version: str) -> Tracer: ...

    def shutdown(self) -> None: ...


class TraceExport:
    """The tracer of an application, from its making until `aclose`."""

    def __init__(self, provider: Any) -> None:
        self._provider: _Sdk = provider
        self.of_requests: TracerProvider = _RequestTracers(provider)
        TRACING.tracer = self._provider.get_tracer("event_trigger", __version__)

    @classmethod
    def from_environment(cls) -> Self | None:
        """Returns None unless a collector is named, and the extra is there."""
        if not _is_wanted(os.environ) or why_not_traced() is not None:
            return None
        return cls(_make_provider())

    async def aclose(self) -> None:
        """Sends what is left, for 5 s at most: a collector may hang."""
        TRACING.tracer = None
        loop, is_over = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop is closed: it took too long
                loop.call_soon_threadsafe(is_over.set)

        # not one of the executor's threads, for which the process would wait
        threading.Thread(target=end, daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await is_over.wait()


def _make_provider() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    # the SDK's own lines would fill the log while the collector is away, or a stranger could
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    named = {"service.name": "event-trigger", "service.version": __version__}
    resource = Resource.create({**named, **OTELResourceDetector().detect().attributes})
    is_limited = any(os.environ.get(one) for one in _LENGTHS)
    limits = SpanLimits(max_span_attribute_length=None if is_limited else LONGEST_VALUE)
    provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
    exporter: Any = _LoggedExporter(OTLPSpanExporter())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class _LoggedExporter:
    """Exports spans, and logs failures when they begin, every minute, and when they have ended.

    It does as a `SpanExporter` of the SDK; the SDK's thread calls it.
    """

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._lost = 0
        self._said_at: float | None = None

    def export(self, spans: Sequence[Any]) -> Any:
        result = self._exporter.export(spans)
        if result.name != "SUCCESS":
            self._note_lost(len(spans))
        elif self._said_at is not None:
            log.info("traces_sent_again", lost=self._lost)
            self._lost, self._said_at = 0, None
        return result

    def _note_lost(self, count: int) -> None:
        now = time.monotonic()
        self._lost += count
        if self._said_at is None or now - self._said_at >= SAY_AGAIN_SECONDS:
            self._said_at = now
            log.warning("traces_not_sent", spans=self._lost)

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _RequestTracers(TracerProvider):
    """Gives FastAPI tracers of requests."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def get_tracer(self, *arguments: Any, **named: Any) -> Tracer:
        return _RequestTracer(self._provider.get_tracer(*arguments, **named))


class _RequestTracer(Tracer):
    """Starts FastAPI's spans without paths and queries, which may hold a hook's token."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_span(  # noqa: PLR0913, PLR0917 - as the interface has it
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        kept = {key: one for key, one in (attributes or {}).items() if key not in _NOT_EXPORTED}
        return self._tracer.start_span(
            name,
            context,
            kind,
            kept,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )

    @contextmanager
    def start_as_current_span(self, name: str, *arguments: Any, **named: Any) -> Iterator[Span]:  # type: ignore[override]
        with self._tracer.start_as_current_span(name, *arguments, **named) as span:
            yield span
