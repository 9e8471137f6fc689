"""Puts the parts together: the one place that knows everything."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.middleware import Middleware

from event_trigger.api import built_api
from event_trigger.audit.middleware import AuditMiddleware
from event_trigger.audit.recorder import AuditedSession
from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.early_auth import EarlyAuthMiddleware
from event_trigger.auth.logins.throttle import Registrations
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.tokens import Tokens
from event_trigger.config import Settings
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.embedded.down_flag import down_flag_of
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.db.notify import CREDENTIALS_CHANGED, EVENTS_STORED
from event_trigger.db.pool import close_unused
from event_trigger.db.replica.reads import Reads
from event_trigger.db.replica.replica import Replica
from event_trigger.deliveries.http.sender import Sender
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.firing.fast_path import FastPath
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.firing.owner_cache import OwnerCache
from event_trigger.firing.rate_limits import RateLimits
from event_trigger.hooks.calls import HookCalls
from event_trigger.hooks.fast_path import HookFastPath
from event_trigger.hooks.lifecycle import TriggerHooks
from event_trigger.hooks.token_lookup import TokenLookup
from event_trigger.jobs import Jobs
from event_trigger.logs import configure_logs
from event_trigger.readiness import ConnectionsCheck, DatabaseCheck
from event_trigger.startup import Startup, StartupCallbacks, prepare_database
from event_trigger.stream.subscriptions import Subscriptions
from event_trigger.vault import Vault
from event_trigger.web import docs, health
from event_trigger.web.cpu_bound import CpuBound
from event_trigger.web.middleware import (
    BodyLimitMiddleware,
    HostMiddleware,
    RequestMiddleware,
    StartMiddleware,
)
from event_trigger.web.problems import add_problem_handlers
from event_trigger.web.state import AppState, state_of

LARGEST_BODY = 1024 * 1024
LARGEST_SIGN_IN = 16 * 1024  # parsing takes the event loop, and there anybody may write


def create_app(
    settings: Settings,
    *,
    passwords: PasswordHasher | None = None,
    names: DnsResolver | None = None,
    callbacks: StartupCallbacks | None = None,
) -> FastAPI:
    """Builds the application; `settings` must have a database and a signing secret.

    It starts with its lifespan, or as soon after as the database is there, and tells `callbacks`.
    """
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    shares, callbacks = settings.connections_for, callbacks or StartupCallbacks()
    engine = create_engine(url, connections=shares.requests)
    sessions = create_sessions(engine, AuditedSession)
    # their own, so that neither callers nor long jobs keep what is due from firing
    firing_engine = create_engine(url, connections=shares.firing)
    jobs_engine = create_engine(url, connections=shares.jobs)
    engines = [engine, firing_engine, jobs_engine]
    replica = _replica_of(settings, primary=firing_engine)
    vault, subscriptions, guard, names = (
        Vault.of(settings),
        Subscriptions(connections=shares.requests),
        AddressPolicy(settings.webhook_allow),
        names or DnsResolver(),
    )
    sender = Sender(guard, names.lookup)
    tokens, clock = _tokens_of(settings), DatabaseClock(sessions)
    credentials = CredentialCache(sessions, tokens, clock)
    group_commit = GroupCommit(sessions)
    hook_calls = HookCalls(TokenLookup(sessions), vault, clock)
    rate_limits = RateLimits(
        per_key=settings.fire_rate_per_key, per_trigger=settings.fire_rate_per_trigger
    )
    jobs = Jobs(
        jobs_engine,
        create_sessions(jobs_engine),
        settings,
        firing=create_sessions(firing_engine),
        sender=sender,
        vault=vault,
        on_notification={
            EVENTS_STORED: subscriptions.heard,
            CREDENTIALS_CHANGED: credentials.forget,
        },
    )

    async def begin() -> None:
        await prepare_database(engine, sessions, settings)
        await callbacks.prepare(sessions)
        jobs.start()

    startup = Startup(engine, begin, callbacks)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await docs.prepare()
        replicas = () if replica is None else replica.engines
        starting = asyncio.create_task(startup.run())
        others = [asyncio.create_task(close_unused(*engines, *replicas))]
        if replica is not None:
            others.append(asyncio.create_task(replica.watch()))
        try:
            await startup.until_slow_or_over()
            if starting.done():
                await starting  # raises what it has raised
            yield
        finally:
            subscriptions.close()
            await _cancel(starting, *others)
            await jobs.stop()
            await sender.aclose()
            names.close()
            for one in (*engines, *replicas):
                await one.dispose()

    api = built_api()  # before any job starts: this takes a while
    app = FastAPI(
        lifespan=lifespan,
        routes=[*api.routes],
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,
        middleware=[
            *_middleware(settings, startup),
            Middleware(
                FastPath,
                credentials=credentials,
                owners=OwnerCache(sessions),
                group_commit=group_commit,
                rate_limits=rate_limits,
            ),
            Middleware(
                HookFastPath,
                calls=hook_calls,
                group_commit=group_commit,
                rate_limits=rate_limits,
            ),
            Middleware(EarlyAuthMiddleware, credentials=credentials),
        ],
    )
    app.state.app_state = AppState(
        settings=settings,
        sessions=sessions,
        reads=Reads(sessions, replica),
        vault=vault,
        liveness=health.Liveness(_embedded_check(url)),
        readiness=health.Readiness(
            startup.reason,
            (
                DatabaseCheck(firing_engine, settings).reason,
                ConnectionsCheck(*engines).reason,
                jobs.dispatch_problem,
                jobs.overdue_jobs,
            ),
        ),
        cpu_bound=CpuBound(),
        passwords=passwords or PasswordHasher(),
        tokens=tokens,
        credentials=credentials,
        registrations=Registrations(sessions),
        hooks=TriggerHooks(vault),
        hook_calls=hook_calls,
        group_commit=group_commit,
        rate_limits=rate_limits,
        resolver=names,
        address_policy=guard,
        sender=sender,
        subscriptions=subscriptions,
    )
    app.openapi = api.openapi  # type: ignore[method-assign]
    add_problem_handlers(app)
    return app


def end_streams(app: FastAPI) -> None:
    """Ends what would otherwise never end by itself, so that a server can stop at once."""
    state_of(app).subscriptions.close()


def app_from_environment() -> FastAPI:
    """What each worker process of `serve --workers` runs."""
    settings = Settings()
    configure_logs(settings.log_format, settings.log_level)
    return create_app(settings)


def _tokens_of(settings: Settings) -> Tokens:
    secret, previous = settings.jwt_secret, settings.jwt_previous_secret
    assert secret is not None
    return Tokens(
        secret.get_secret_value(), None if previous is None else previous.get_secret_value()
    )


def _replica_of(settings: Settings, *, primary: AsyncEngine) -> Replica | None:
    url, connections = settings.read_database_url, settings.connections_for.requests
    if url is None:
        return None
    return Replica(url.get_secret_value(), primary=primary, connections=connections)


def _embedded_check(url: str) -> Callable[[], str | None]:
    down_flag = down_flag_of(url)
    return (lambda: None) if down_flag is None else down_flag.reason


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _middleware(settings: Settings, startup: Startup) -> list[Middleware]:
    stack = [Middleware(RequestMiddleware), Middleware(AuditMiddleware)]
    if settings.trusted_hosts:
        stack.append(Middleware(HostMiddleware, trusted=settings.trusted_hosts))
    if settings.cors_origins:
        stack.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["*"],
                allow_headers=[
                    "Authorization",
                    "Content-Type",
                    "Idempotency-Key",
                    "X-API-Key",
                    "X-Request-ID",
                ],
                expose_headers=["Idempotent-Replayed", "Link", "Location", "Retry-After"],
            )
        )
    return [
        *stack,
        Middleware(StartMiddleware, has_started=lambda: startup.is_open),
        Middleware(
            BodyLimitMiddleware,
            largest=LARGEST_BODY,
            open_to_all=dict.fromkeys(
                ("/auth/token", "/auth/refresh", "/auth/register"), LARGEST_SIGN_IN
            ),
        ),
    ]
