"""The HTTP operation that describes this installation, and how a project uses its limits."""

from typing import Annotated, NamedTuple

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger import __version__
from event_trigger.auth.dependencies import CredentialsDep, PrincipalDep
from event_trigger.auth.project_header import PROJECT_HEADER, InvalidProjectHeader, wanted_project
from event_trigger.calendars.repository import Calendars
from event_trigger.config import Settings
from event_trigger.db.installation import read_installation
from event_trigger.deliveries.mail.allowances import MailAllowances
from event_trigger.deliveries.payloads.repository import Payloads
from event_trigger.destinations.repository import Destinations
from event_trigger.errors import Unauthorized
from event_trigger.events.event_bytes import StoredBytes
from event_trigger.firing.dependencies import RateLimitsDep
from event_trigger.firing.rate_limits import RateLimits
from event_trigger.info.schemas import (
    FeaturesRead,
    InfoRead,
    LimitRead,
    LimitsRead,
    RetentionRead,
)
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.zone_rules import zone_rules
from event_trigger.web.dependencies import SessionDep, SettingsDep, app_state
from event_trigger.web.openapi.invalid_examples import of_unknown_parameter
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

router = strict_router(tags=["service"], responses=problems(Unauthorized, of_unknown_parameter()))


class Usage(NamedTuple):
    """A project's use of each limit: exact counts, and bytes as of some seconds ago."""

    triggers: int
    destinations: int
    calendars: int
    calls_per_minute: int
    mails_per_minute: int
    backlog_bytes: int
    event_bytes: int


async def read_usage(
    session: AsyncSession, rate_limits: RateLimits, mails: MailAllowances, project_id: int
) -> Usage:
    return Usage(
        triggers=await Triggers(session).count_of(project_id),
        destinations=await Destinations(session).count_of(project_id),
        calendars=await Calendars(session).count_of(project_id),
        calls_per_minute=await rate_limits.calls_of(project_id),
        mails_per_minute=mails.used_by(project_id),
        backlog_bytes=await Payloads(session).backlog_of(project_id),
        event_bytes=await StoredBytes(session).total_of(project_id),
    )


async def get_project_shown(
    request: Request, principal: PrincipalDep, credentials: CredentialsDep
) -> int | None:
    """Returns the project whose use the caller may see; None rather than a refusal.

    So a client whose project is gone still learns what it talks to.
    """
    try:
        wanted = wanted_project(request.headers.get(PROJECT_HEADER))
    except InvalidProjectHeader:
        return None
    return await credentials.project_entered(principal, wanted)


@router.get("/info", summary="Describe the installation", operation_id="get_info")
async def get_info(
    project_id: Annotated[int | None, Depends(get_project_shown)],
    session: SessionDep,
    settings: SettingsDep,
    rate_limits: RateLimitsDep,
    request: Request,
) -> InfoRead:
    """Returns the version, the retention, the limits of a project and how much of them is used.

    Any credential may ask. Only the operator of the service can raise a limit, by the setting
    `EVENT_TRIGGER_MAX_…` of its name.
    """
    usage = None
    if project_id is not None:
        usage = await read_usage(session, rate_limits, app_state(request).mails, project_id)
    return InfoRead(
        version=__version__,
        installation=await read_installation(session),
        zone_rules=zone_rules().version,
        retention=RetentionRead(active_for=settings.active_for, keep_for=settings.keep_for),
        project_id=project_id,
        limits=_limits(settings, usage),
        features=FeaturesRead(
            open_registration=settings.open_registration,
            mail=settings.smtp_url is not None,
            read_replica=settings.read_database_url is not None,
        ),
    )


def _limits(settings: Settings, usage: Usage | None) -> LimitsRead:
    """Pairs each setting `max_…` with the use of that name."""

    def limit(name: str) -> LimitRead:
        used = None if usage is None else getattr(usage, name)
        return LimitRead(limit=getattr(settings, f"max_{name}"), used=used)

    return LimitsRead(**{name: limit(name) for name in Usage._fields})
