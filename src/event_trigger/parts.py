"""Makes the parts of the service: the only module that knows how all of them fit together."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.audit.recorder import AuditedSession
from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.logins.throttle import Registrations
from event_trigger.auth.passwords.hashing import PasswordHasher
from event_trigger.auth.tokens import Tokens
from event_trigger.calendars.repository import StoredCalendars
from event_trigger.config import Settings
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.embedded.down_flag import down_flag_of
from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.db.notify import (
    CREDENTIALS_CHANGED,
    DELIVERIES_ATTEMPTED,
    EVENTS_STORED,
    TRIGGERS_CHANGED,
)
from event_trigger.db.replica.reads import Reads
from event_trigger.db.replica.replica import ReadReplica
from event_trigger.deliveries.attempts import AttemptParts
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.mail.allowances import MailAllowances
from event_trigger.deliveries.mail.server import mailer_of
from event_trigger.deliveries.payloads.repository import Payloads
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.events.event_bytes import StoredBytes
from event_trigger.firing.chosen_rate_limits import rate_limits_of
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.hooks.calls import HookCalls
from event_trigger.hooks.known_hooks import KnownHooks, TokenLookup
from event_trigger.hooks.large_bodies import LargeBodies
from event_trigger.hooks.lifecycle import TriggerHooks
from event_trigger.hooks.refusals.records import RefusalLog
from event_trigger.jobs import Jobs
from event_trigger.mail.sender import Mailer
from event_trigger.metrics.database import DatabaseGauges
from event_trigger.metrics.exposition import Metrics
from event_trigger.metrics.process import ProcessGauges, Watched
from event_trigger.readiness import ConnectionsCheck, DatabaseCheck
from event_trigger.startup import Startup, StartupCallbacks, prepare_database
from event_trigger.stream.subscriptions import Subscriptions, Topic
from event_trigger.vault import Vault
from event_trigger.web.cpu_bound import CpuBound
from event_trigger.web.dependencies import AppState
from event_trigger.web.health import Liveness, Readiness


@dataclass(frozen=True, slots=True)
class Engines:
    """A pool of connections for each kind of work: neither calls nor jobs hold up due triggers."""

    requests: AsyncEngine
    firing: AsyncEngine
    jobs: AsyncEngine
    replica: ReadReplica | None

    @property
    def of_primary(self) -> tuple[AsyncEngine, ...]:
        return self.requests, self.firing, self.jobs

    @property
    def by_name(self) -> dict[str, AsyncEngine]:
        found = {"requests": self.requests, "firing": self.firing, "jobs": self.jobs}
        if self.replica is not None:
            found["replica"], found["replica_checks"] = self.replica.engines
        return found

    @property
    def all(self) -> tuple[AsyncEngine, ...]:
        return (*self.of_primary, *(self.replica.engines if self.replica else ()))


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that one process makes at its start."""

    engines: Engines
    state: AppState
    jobs: Jobs
    startup: Startup


def make_parts(
    settings: Settings,
    *,
    passwords: PasswordHasher | None,
    resolver: DnsResolver | None,
    callbacks: StartupCallbacks | None,
) -> Parts:
    """Makes all parts and starts none; raises ValueError for a URL that cannot be read."""
    engines = _make_engines(settings)
    sessions = create_sessions(engines.requests, AuditedSession)
    shared = _make_shared(settings, sessions, resolver or DnsResolver())
    jobs = _make_jobs(settings, engines, shared)
    startup = _make_startup(settings, engines, sessions, jobs, callbacks or StartupCallbacks())
    checks = (
        DatabaseCheck(engines.firing, settings).reason,
        ConnectionsCheck(*engines.of_primary).reason,
        jobs.dispatch_problem,
        jobs.overdue_jobs,
    )
    readiness = Readiness(startup.reason, checks)
    passwords = passwords or PasswordHasher()
    watched = Watched(
        engines.by_name, engines.replica, shared.subscriptions, lambda: jobs.attempts_in_flight
    )
    metrics = Metrics(ProcessGauges(watched), DatabaseGauges(sessions, settings))
    state = _make_state(settings, sessions, engines.replica, shared, passwords, readiness, metrics)
    return Parts(engines, state, jobs, startup)


def _make_engines(settings: Settings) -> Engines:
    url, connections = _database_url(settings), settings.connections_for
    firing, replica = create_engine(url, connections=connections.firing), None
    if settings.read_database_url is not None:
        replica = ReadReplica(
            settings.read_database_url.get_secret_value(),
            primary=firing,
            connections=connections.requests,
        )
    return Engines(
        requests=create_engine(url, connections=connections.requests),
        firing=firing,
        jobs=create_engine(url, connections=connections.jobs),
        replica=replica,
    )


def _database_url(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


@dataclass(frozen=True, slots=True)
class _Shared:
    """The parts that requests share with jobs, or with other parts."""

    vault: Vault
    tokens: Tokens
    clock: DatabaseClock
    credentials: CredentialCache
    subscriptions: Subscriptions
    resolver: DnsResolver
    address_policy: AddressPolicy
    sender: Sender
    mailer: Mailer | None
    mails: MailAllowances
    refusals: RefusalLog
    renderer: Renderer

    def credentials_changed(self, user: str) -> None:
        """Drops what is cached about a user, whose open streams ask again at once."""
        self.credentials.forget(user)
        self.subscriptions.recheck(user)


def _make_shared(settings: Settings, sessions: Sessions, resolver: DnsResolver) -> _Shared:
    tokens, clock = _make_tokens(settings), DatabaseClock(sessions)
    address_policy = AddressPolicy(settings.webhook_allow)
    return _Shared(
        vault=Vault.of(settings),
        tokens=tokens,
        clock=clock,
        credentials=CredentialCache(sessions, tokens, clock),
        subscriptions=Subscriptions(connections=settings.connections_for.requests),
        resolver=resolver,
        address_policy=address_policy,
        sender=Sender(address_policy, resolver.lookup, ca_file=settings.ca_file),
        mailer=mailer_of(settings),
        mails=MailAllowances(settings.max_mails_per_minute),
        refusals=RefusalLog(),
        renderer=Renderer(),
    )


def _make_tokens(settings: Settings) -> Tokens:
    secret, previous = settings.jwt_secret, settings.jwt_previous_secret
    assert secret is not None
    return Tokens(
        secret.get_secret_value(), None if previous is None else previous.get_secret_value()
    )


def _make_jobs(settings: Settings, engines: Engines, shared: _Shared) -> Jobs:
    return Jobs(
        engines.jobs,
        settings,
        firing=create_sessions(engines.firing),
        attempts=AttemptParts(
            shared.sender,
            shared.renderer,
            shared.vault,
            settings.retry_after,
            settings.public_url,
            settings.metrics_per_destination,
            shared.mailer,
            shared.mails,
        ),
        refusals=shared.refusals,
        on_notification={
            EVENTS_STORED: shared.subscriptions.heard,
            CREDENTIALS_CHANGED: shared.credentials_changed,
            DELIVERIES_ATTEMPTED: partial(shared.subscriptions.told, Topic.DELIVERIES),
            TRIGGERS_CHANGED: partial(shared.subscriptions.told, Topic.TRIGGERS),
        },
    )


def _make_startup(
    settings: Settings,
    engines: Engines,
    sessions: Sessions,
    jobs: Jobs,
    callbacks: StartupCallbacks,
) -> Startup:
    async def begin() -> None:
        await prepare_database(engines.requests, sessions, settings)
        await _apply_limits(sessions, settings)
        await callbacks.prepare(sessions)
        jobs.start()

    return Startup(engines.requests, begin, callbacks)


async def _apply_limits(sessions: Sessions, settings: Settings) -> None:
    """Compares stored bytes with this start's limits: raising one must cost no instant."""
    async with sessions.begin() as session:
        await StoredBytes(session).mark_reached(settings.max_event_bytes)
        await Payloads(session).mark_full_backlogs(settings.max_backlog_bytes)


def _make_state(
    settings: Settings,
    sessions: Sessions,
    replica: ReadReplica | None,
    shared: _Shared,
    passwords: PasswordHasher,
    readiness: Readiness,
    metrics: Metrics,
) -> AppState:
    group_commit, rate_limits = GroupCommit(sessions), rate_limits_of(settings)
    return AppState(
        settings=settings,
        sessions=sessions,
        reads=Reads(sessions, replica),
        vault=shared.vault,
        liveness=Liveness(_embedded_check(settings)),
        readiness=readiness,
        cpu_bound=CpuBound(),
        passwords=passwords,
        tokens=shared.tokens,
        clock=shared.clock,
        credentials=shared.credentials,
        registrations=Registrations(sessions),
        hooks=TriggerHooks(shared.vault),
        calendars=StoredCalendars(),
        hook_calls=HookCalls(
            KnownHooks(),
            TokenLookup(sessions),
            shared.vault,
            shared.clock,
            group_commit,
            rate_limits,
            shared.refusals,
            LargeBodies(),
        ),
        group_commit=group_commit,
        rate_limits=rate_limits,
        resolver=shared.resolver,
        address_policy=shared.address_policy,
        sender=shared.sender,
        mailer=shared.mailer,
        mails=shared.mails,
        renderer=shared.renderer,
        subscriptions=shared.subscriptions,
        metrics=metrics,
    )


def _embedded_check(settings: Settings) -> Callable[[], str | None]:
    down_flag = down_flag_of(_database_url(settings))
    return (lambda: None) if down_flag is None else down_flag.reason
