"""Runs a collector of OpenTelemetry on loopback, which keeps the spans that it is sent."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.waiting import eventually

_UNPACK: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it was sent, with its ids in hexadecimal."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    is_failed: bool
    service: str
    process: str
    nanoseconds: int

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes.get(attribute)


@dataclass
class Collector:
    """Answers `POST /v1/traces`; `sent` has every byte of what came."""

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    sent: bytes = b""
    headers: list[dict[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        unpacked = _UNPACK[request.headers.get("content-encoding")](body)
        self.sent += unpacked
        self.headers.append({name.lower(): one for name, one in request.headers.items()})
        for resource in ExportTraceServiceRequest.FromString(unpacked).resource_spans:
            about = _read(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_span(one, about) for one in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def named(self, name: str) -> list[ReceivedSpan]:
        return [one for one in self.spans if one.name == name]

    async def until(self, name: str, count: int = 1) -> list[ReceivedSpan]:
        """Waits for so many spans of a name."""

        async def come() -> list[ReceivedSpan]:
            return self.named(name)

        return await eventually(come, lambda found: len(found) >= count)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    collector.url = f"http://{host}:{port}"
    try:
        yield collector
    finally:
        await runner.cleanup()


def tracing_to(url: str, **more: str) -> dict[str, str]:
    """Gives the environment of a process that traces, and sends its spans soon."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "50"} | more


def _span(one: Any, about: dict[str, Any]) -> ReceivedSpan:
    return ReceivedSpan(
        one.name,
        one.trace_id.hex(),
        one.span_id.hex(),
        one.parent_span_id.hex(),
        _read(one.attributes),
        one.status.code == one.status.STATUS_CODE_ERROR,
        about["service.name"],
        str(about.get("service.instance.id", "")),
        one.end_time_unix_nano - one.start_time_unix_nano,
    )


def _read(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
