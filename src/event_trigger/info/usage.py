"""Reads how much of its limits a project uses."""

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.calendars.repository import Calendars
from event_trigger.deliveries.mail.allowances import MailAllowances
from event_trigger.deliveries.payloads.repository import Payloads
from event_trigger.destinations.repository import Destinations
from event_trigger.events.event_bytes import StoredBytes
from event_trigger.firing.rate_limits import RateLimits
from event_trigger.triggers.repository import Triggers


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
