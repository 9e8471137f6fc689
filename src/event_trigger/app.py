"""Builds the FastAPI application around the parts of the service, and runs them with it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from anyio import to_thread
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.telemetry import TelemetryConfig
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.api import built_api
from event_trigger.audit.middleware import AuditMiddleware
from event_trigger.auth.early_auth import EarlyAuthMiddleware
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.plain_reads import ReadFastPath
from event_trigger.config import Settings
from event_trigger.console import pages as console_pages
from event_trigger.db.page_sessions import CONNECTIONS_OF_CALLS, MOST_PAGES, PageSessions
from event_trigger.db.plain_session import PlainReads
from event_trigger.db.pool import close_all, close_unused
from event_trigger.db.transactions import Transactions
from event_trigger.destinations.dns import DnsResolver
from event_trigger.events.window import Retention
from event_trigger.firing.batch.fast_path import BatchFastPath
from event_trigger.firing.fast_path import CallFastPath
from event_trigger.firing.named_triggers import NamedTriggers
from event_trigger.firing.replay_path import ReplayFastPath
from event_trigger.firing.replays import ReplayableEvents
from event_trigger.hooks.fast_path import HookFastPath, UnreadCalls
from event_trigger.metrics.exposition import MetricsPort
from event_trigger.parts import Parts, make_parts
from event_trigger.plain_doors import plain_doors
from event_trigger.startup import StartupCallbacks
from event_trigger.trace_export import TraceExport
from event_trigger.web import docs
from event_trigger.web.compression import Compression, CompressionMiddleware
from event_trigger.web.dependencies import state_of
from event_trigger.web.fast_paths import FastPath, FastPaths, OutermostFastPaths
from event_trigger.web.middleware import (
    BodyLimitMiddleware,
    HostMiddleware,
    MethodsMiddleware,
    RequestMiddleware,
    RootPathMiddleware,
    StartMiddleware,
)
from event_trigger.web.problems import add_problem_handlers
from event_trigger.web.request_meter import PROBES, RequestMeter

LARGEST_BODY = 1024 * 1024  # bytes
LARGEST_SIGN_IN = 16 * 1024  # bytes: anybody may send one, and the event loop parses it
_SIGN_IN_PATHS = (
    "/auth/token",
    "/auth/refresh",
    "/auth/register",
    "/console/session",
    "/invitations/accept",
)


class _App(FastAPI):
    """FastAPI with `fronts`, of which the last is outermost, before all layers of its own.

    FastAPI asks of each request whether it is traced, which an untraced service knows beforehand.
    """

    fronts: Sequence[Callable[[ASGIApp], ASGIApp]] = ()
    is_traced = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stack = self.middleware_stack
        if self.is_traced or stack is None or scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        stack = super().build_middleware_stack()
        for front in self.fronts:
            stack = front(stack)
        return stack


def create_app(
    settings: Settings,
    *,
    passwords: PasswordHasher | None = None,
    resolver: DnsResolver | None = None,
    callbacks: StartupCallbacks | None = None,
) -> FastAPI:
    """Builds the application; `settings` must have a database and a signing secret.

    The lifespan starts it, at once or as soon as the database answers, and tells `callbacks`.
    """
    export = TraceExport.from_environment()
    parts = make_parts(settings, passwords=passwords, resolver=resolver, callbacks=callbacks)
    api = built_api()
    meter = RequestMeter(api.routes, prefix=settings.prefix)
    is_outermost = not (settings.prefix or settings.trusted_hosts or settings.cors_origins)
    compression = Compression()
    fast_paths = _fast_paths(parts, compression)
    app = _App(
        lifespan=lambda _: _running(parts, export),
        routes=[*api.routes],
        openapi_url=None,
        telemetry=_telemetry(settings, export),
        redirect_slashes=False,
        middleware=[
            *_middleware(settings, parts, meter),
            *([] if is_outermost else [Middleware(FastPaths, paths=fast_paths)]),
            Middleware(EarlyAuthMiddleware, credentials=parts.state.credentials),
            Middleware(MethodsMiddleware, routes=api.routes),
            Middleware(CompressionMiddleware, compression=compression),
        ],
    )
    if is_outermost:
        outermost = partial(
            OutermostFastPaths,
            paths=fast_paths,
            largest=LARGEST_BODY,
            has_started=lambda: parts.startup.is_open,
            meter=meter,
        )
        app.fronts = (outermost,)
    if settings.metrics_port is not None:
        port = partial(MetricsPort, port=settings.metrics_port, metrics=parts.state.metrics)
        app.fronts = (*app.fronts, port)
    app.is_traced = export is not None
    app.state.app_state = parts.state
    app.openapi = api.openapi  # type: ignore[method-assign]
    add_problem_handlers(app)
    return app


def end_streams(app: FastAPI) -> None:
    """Ends all event streams, which would otherwise keep a server from stopping."""
    state_of(app).subscriptions.close()


@asynccontextmanager
async def _running(parts: Parts, export: TraceExport | None) -> AsyncIterator[None]:
    """Starts the service, and stops it: streams first, then jobs, the sender and the pools.

    Traces are sent last.
    """
    engines, state, startup = parts.engines, parts.state, parts.startup
    await docs.prepare()
    await to_thread.run_sync(console_pages.prepare, state.settings.prefix)
    starting = asyncio.create_task(startup.run())
    others = [
        asyncio.create_task(close_unused(*engines.all)),
        asyncio.create_task(state.metrics.process.run()),
        asyncio.create_task(state.metrics.database.run()),
    ]
    if engines.replica is not None:
        others.append(asyncio.create_task(engines.replica.watch()))
    try:
        await startup.until_slow_or_over()
        if starting.done():
            await starting  # raises the error of a start that failed
        yield
    finally:
        state.subscriptions.close()
        await _cancel(starting, *others)
        await parts.jobs.stop()
        await state.sender.aclose()
        if state.mailer is not None:
            await state.mailer.aclose()
        await state.renderer.aclose()
        state.resolver.close()
        for engine in engines.all:
            await close_all(engine)
        if export is not None:
            await export.aclose()


def _telemetry(settings: Settings, export: TraceExport | None) -> TelemetryConfig:
    """Lets FastAPI make the spans of requests, but for probes and streams, which end at no time."""
    if export is None:
        return {"tracing": False, "metrics": False, "logs": False}
    untraced = frozenset(settings.prefix + path for path in (*PROBES, "/events/stream")) | PROBES
    return {
        "tracer_provider": export.of_requests,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope.get("path") in untraced,
    }


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _middleware(settings: Settings, parts: Parts, meter: RequestMeter) -> list[Middleware]:
    stack = [Middleware(RequestMiddleware, meter=meter)]
    if settings.prefix:
        stack.append(Middleware(RootPathMiddleware, prefix=settings.prefix))
    stack.append(Middleware(AuditMiddleware))
    if settings.trusted_hosts:
        stack.append(Middleware(HostMiddleware, trusted=settings.trusted_hosts))
    if settings.cors_origins:
        stack.append(_cors(settings.cors_origins))
    public = dict.fromkeys(_SIGN_IN_PATHS, LARGEST_SIGN_IN)
    return [
        *stack,
        Middleware(StartMiddleware, has_started=lambda: parts.startup.is_open),
        Middleware(UnreadCalls, calls=parts.state.hook_calls),
        Middleware(BodyLimitMiddleware, largest=LARGEST_BODY, largest_at=public),
    ]


def _cors(origins: Sequence[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=[*origins],
        allow_methods=["*"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "Last-Event-ID",
            "X-API-Key",
            "X-Project-ID",
            "X-Request-ID",
            "Cache-Control",
            "traceparent",
        ],
        expose_headers=[
            "ETag",
            "Idempotent-Replayed",
            "Link",
            "Location",
            "Retry-After",
            "X-Request-ID",
        ],
    )


def _fast_paths(parts: Parts, compression: Compression) -> Sequence[FastPath]:
    """Returns those of calls, and those of reads unless a replica takes the load of these."""
    state, engines = parts.state, parts.engines
    calls = CallFastPath(
        state.credentials, state.group_commit, state.rate_limits, NamedTriggers(state.sessions)
    )
    hooks = HookFastPath(state.hook_calls)
    batches = BatchFastPath(
        state.credentials, Transactions(state.sessions), state.rate_limits, state.cpu_bound
    )
    if engines.replica is not None:
        return calls, hooks, batches
    reads = PlainReads(engines.requests)
    spare = state.settings.connections_for.requests - CONNECTIONS_OF_CALLS
    pages = PageSessions(reads, most=max(1, min(MOST_PAGES, spare)))
    replays = ReplayFastPath(
        state.credentials,
        state.group_commit,
        state.rate_limits,
        ReplayableEvents(pages),
        state.clock,
        Retention(state.settings.active_for, state.settings.keep_for),
    )
    plain = ReadFastPath(state.credentials, compression, plain_doors(state, reads, pages))
    return calls, hooks, plain, replays, batches
