"""Gives requests the parts that the service made at its start, and one transaction each.

The transaction is committed before the first byte of the response.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.config import Settings
from event_trigger.db.engine import Sessions
from event_trigger.db.replica.reads import Reads
from event_trigger.errors import Problem

if TYPE_CHECKING:  # only their types: `web` imports no feature at run time
    from event_trigger.auth.credential_cache import CredentialCache
    from event_trigger.auth.logins.throttle import Registrations
    from event_trigger.auth.passwords.hashing import PasswordHasher
    from event_trigger.auth.tokens import Tokens
    from event_trigger.db.clock import DatabaseClock
    from event_trigger.deliveries.http.sender import Sender
    from event_trigger.deliveries.mail.allowances import MailAllowances
    from event_trigger.destinations.address_policy import AddressPolicy
    from event_trigger.destinations.dns import DnsResolver
    from event_trigger.destinations.templates.renderer import Renderer
    from event_trigger.firing.group_commit import GroupCommit
    from event_trigger.firing.rate_limits import RateLimits
    from event_trigger.hooks.calls import HookCalls
    from event_trigger.mail.sender import Mailer
    from event_trigger.metrics.exposition import Metrics
    from event_trigger.stream.subscriptions import Subscriptions
    from event_trigger.triggers.hook_port import HookKeeper
    from event_trigger.triggers.references import Calendars
    from event_trigger.vault import Vault
    from event_trigger.web.cpu_bound import CpuBound
    from event_trigger.web.health import Liveness, Readiness


@dataclass(frozen=True, slots=True)
class AppState:
    """The parts of one process that requests use; `parts.py` makes them."""

    settings: Settings
    sessions: Sessions
    reads: Reads
    vault: Vault
    liveness: Liveness
    readiness: Readiness
    cpu_bound: CpuBound
    passwords: PasswordHasher
    tokens: Tokens
    clock: DatabaseClock
    credentials: CredentialCache
    registrations: Registrations
    hooks: HookKeeper
    calendars: Calendars
    hook_calls: HookCalls
    group_commit: GroupCommit
    rate_limits: RateLimits
    resolver: DnsResolver
    address_policy: AddressPolicy
    sender: Sender
    mailer: Mailer | None
    mails: MailAllowances
    renderer: Renderer
    subscriptions: Subscriptions
    metrics: Metrics


def app_state(request: Request) -> AppState:
    return state_of(request.app)


def state_of(app: FastAPI) -> AppState:
    state: AppState = app.state.app_state
    return state


async def get_settings(request: Request) -> Settings:
    return app_state(request).settings


SettingsDep = Annotated[Settings, Depends(get_settings)]


async def get_sessions(request: Request) -> Sessions:
    return app_state(request).sessions


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Commits when the endpoint returns, and rolls back when it raises.

    A problem that `keeps_writes` is committed too: a stolen refresh token is refused *and* ends
    its family.
    """
    async with app_state(request).sessions() as session:
        try:
            yield session
        except Problem as problem:
            if problem.keeps_writes:
                await session.commit()
            raise
        await session.commit()


# "function" scope: the commit comes before the response, so a failed one never answers 200
SessionDep = Annotated[AsyncSession, Depends(open_session, scope="function")]
SessionsDep = Annotated[Sessions, Depends(get_sessions)]


async def get_reads(request: Request) -> Reads:
    return app_state(request).reads


ReadsDep = Annotated[Reads, Depends(get_reads)]
