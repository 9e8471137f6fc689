"""Puts the parts together: the one place that knows everything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.middleware import Middleware

from event_trigger.api import built_api
from event_trigger.auth.credentials import Credentials
from event_trigger.auth.gate import Gate
from event_trigger.auth.passwords import Passwords
from event_trigger.auth.throttle import Registrations
from event_trigger.auth.tokens import Tokens
from event_trigger.config import Settings
from event_trigger.db.absence import presence_of
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.db.migrate import is_migrated, migrate
from event_trigger.db.notify import CREDENTIALS_CHANGED, EVENTS_STORED
from event_trigger.db.replica import Replica
from event_trigger.deliveries.sender import Sender
from event_trigger.destinations.names import Names
from event_trigger.destinations.target import Guard
from event_trigger.dispatch.fast_path import FastPath
from event_trigger.dispatch.group_commit import GroupCommit
from event_trigger.dispatch.owners import Owners
from event_trigger.dispatch.rates import Rates
from event_trigger.events.retention import make_partitions
from event_trigger.hooks.calling import HookCalls
from event_trigger.hooks.fast_path import HookFastPath
from event_trigger.hooks.finding import HookFinder
from event_trigger.jobs import Jobs
from event_trigger.live.hub import Hub
from event_trigger.logs import configure_logs
from event_trigger.triggers.replanning import plan_by_newest_rules
from event_trigger.triggers.zone_rules import describe_rules, zone_rules
from event_trigger.vault import Vault
from event_trigger.web import docs, health
from event_trigger.web.middleware import BodyLimitMiddleware, HostMiddleware, RequestMiddleware
from event_trigger.web.problems import add_problem_handlers
from event_trigger.web.questions import Questions
from event_trigger.web.reading import Reads
from event_trigger.web.services import Services
from event_trigger.web.trail import TrailSession

log = structlog.get_logger()

LARGEST_BODY = 1024 * 1024
LARGEST_SIGN_IN = 16 * 1024  # parsing takes the event loop, and there anybody may write
JOBS_CONNECTIONS = 5
PATIENCE = 2.0  # seconds that a readiness check may take


def create_app(
    settings: Settings, *, passwords: Passwords | None = None, names: Names | None = None
) -> FastAPI:
    """Builds the application; `settings` must have a database and a signing secret."""
    assert settings.database_url is not None
    assert settings.jwt_secret is not None
    url = settings.database_url.get_secret_value()
    engine = create_engine(url)
    sessions = create_sessions(engine, TrailSession)
    # its own, so that no crowd of callers keeps what is due from firing
    jobs_engine = create_engine(url, connections=JOBS_CONNECTIONS)
    replica = _replica_of(settings, primary=jobs_engine)
    vault, hub, guard, names = (
        Vault.of(settings),
        Hub(),
        Guard(settings.webhook_allow),
        names or Names(),
    )
    sender = Sender(guard, names.lookup)
    previous = settings.jwt_previous_secret
    tokens = Tokens(
        settings.jwt_secret.get_secret_value(),
        None if previous is None else previous.get_secret_value(),
    )
    clock = DatabaseClock(sessions)
    credentials = Credentials(sessions, tokens, clock)
    group_commit = GroupCommit(sessions)
    hook_calls = HookCalls(HookFinder(sessions), vault, clock)
    rates = Rates(per_key=settings.fire_rate_per_key, per_trigger=settings.fire_rate_per_trigger)
    jobs = Jobs(
        jobs_engine,
        create_sessions(jobs_engine),
        settings,
        sender=sender,
        vault=vault,
        heard={EVENTS_STORED: hub.heard, CREDENTIALS_CHANGED: credentials.forget},
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await docs.prepare()
        await migrate(engine)
        log.info("zone_rules", version=zone_rules().version, found=describe_rules())
        await plan_by_newest_rules(engine, keep_for=settings.keep_for)
        await make_partitions(sessions, settings)
        jobs.start()
        watching = None if replica is None else asyncio.create_task(replica.watch())
        try:
            yield
        finally:
            hub.close()
            if replica is not None and watching is not None:
                watching.cancel()
                await asyncio.wait([watching])
                await replica.aclose()
            await jobs.stop()
            await sender.aclose()
            names.close()
            await engine.dispose()
            await jobs_engine.dispose()

    api = built_api()  # before any job starts: this takes a while
    app = FastAPI(
        lifespan=lifespan,
        routes=[*api.routes],
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,
        middleware=[
            *_middleware(settings),
            Middleware(
                FastPath,
                credentials=credentials,
                owners=Owners(sessions),
                group_commit=group_commit,
                rates=rates,
            ),
            Middleware(
                HookFastPath,
                calls=hook_calls,
                group_commit=group_commit,
                rates=rates,
            ),
            Middleware(Gate, credentials=credentials),
        ],
    )
    app.state.services = Services(
        settings,
        sessions,
        passwords or Passwords(),
        Registrations(sessions),
        tokens,
        clock,
        credentials,
        vault,
        guard,
        names,
        sender,
        hub,
        group_commit,
        hook_calls,
        rates,
        Reads(sessions, replica),
        health.Liveness(_embedded_check(url)),
        Questions(),
        health.Readiness((_database_check(jobs_engine), jobs.silence)),
    )
    app.openapi = api.openapi  # type: ignore[method-assign]
    add_problem_handlers(app)
    return app


def end_streams(app: FastAPI) -> None:
    """Ends what would otherwise never end by itself, so that a server can stop at once."""
    services: Services = app.state.services
    services.get(Hub).close()


def app_from_environment() -> FastAPI:
    """What each worker process of `serve --workers` runs."""
    settings = Settings()
    configure_logs(settings.log_format, settings.log_level)
    return create_app(settings)


def _replica_of(settings: Settings, *, primary: AsyncEngine) -> Replica | None:
    url = settings.read_database_url
    return None if url is None else Replica(url.get_secret_value(), primary=primary)


def _embedded_check(url: str) -> Callable[[], str | None]:
    presence = presence_of(url)
    return (lambda: None) if presence is None else presence.reason


def _database_check(engine: AsyncEngine) -> Callable[[], Awaitable[str | None]]:
    async def check() -> str | None:
        try:
            async with asyncio.timeout(PATIENCE), engine.connect() as connection:
                migrated = await connection.run_sync(is_migrated)
        except Exception as error:
            log.warning("readiness_check_failed", error=type(error).__name__)
            return "the database does not answer"
        return None if migrated else "the database is not migrated to this version"

    return check


def _middleware(settings: Settings) -> list[Middleware]:
    stack = [Middleware(RequestMiddleware)]
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
        Middleware(
            BodyLimitMiddleware,
            largest=LARGEST_BODY,
            open_to_all=dict.fromkeys(
                ("/auth/token", "/auth/refresh", "/auth/register"), LARGEST_SIGN_IN
            ),
        ),
    ]
