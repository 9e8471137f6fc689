"""Adds the numbers of members to a page of sets."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import Calendar, Destination, OwnedSet, Trigger
from event_trigger.sets.repository.members import MemberTable
from event_trigger.sets.repository.sets import Sets
from event_trigger.sets.schemas import SetSummary


async def summaries_of(session: AsyncSession, sets: Sequence[OwnedSet]) -> list[SetSummary]:
    """Counts the members of all these sets in one statement for each kind."""
    if not sets:
        return []
    triggers = await _counts(session, Trigger, sets)
    destinations = await _counts(session, Destination, sets)
    calendars = await _counts(session, Calendar, sets)
    return [
        SetSummary(
            id=one.id,
            name=one.name,
            triggers=triggers[one.owner_id, one.name],
            destinations=destinations[one.owner_id, one.name],
            calendars=calendars[one.owner_id, one.name],
            created_at=one.created_at,
            updated_at=one.updated_at,
        )
        for one in sets
    ]


async def _counts(
    session: AsyncSession, kind: MemberTable, sets: Sequence[OwnedSet]
) -> Counter[tuple[int, str | None]]:
    counted = await Sets(session).count_members(kind, sets)
    return Counter({(one.owner_id, one.set_name): one.members for one in counted})
