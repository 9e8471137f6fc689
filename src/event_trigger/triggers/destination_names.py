"""Finds the destinations that a trigger names by id or key, and checks the right to name them."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import LimitedKey, MissingScope, Scope
from event_trigger.errors import Invalid
from event_trigger.triggers.repository import Triggers

DestinationNames = Mapping[int | str, int]  # ids and keys of destinations, with their ids


def check_may_name(
    by: Principal, wanted: Collection[int | str], *, known: Sequence[int] = ()
) -> None:
    """Refuses to name new destinations to a caller that may not read destinations.

    Comes before the check that they exist, so that such a caller learns nothing of them. It knows
    those that the trigger has by their ids alone.
    """
    if set(wanted) <= set(known):
        return
    if Scope.DESTINATIONS_READ not in by.scopes:
        raise MissingScope([Scope.DESTINATIONS_READ], "Naming another destination")
    if by.trigger_ids is not None:
        raise LimitedKey(
            "This API key is limited to some triggers, and cannot name destinations that they do"
            " not have yet. Leave destinations as they are, or use a key without trigger_ids."
        )


async def lock_named(
    session: AsyncSession, owner_id: int, wanted: Collection[int | str]
) -> DestinationNames:
    """Locks destinations against deletion until the commit; leaves out those that do not exist.

    Call it before triggers are locked, as the deletion of a destination locks them later, too.
    """
    if not wanted:
        return {}
    found: dict[int | str, int] = {}
    for row_id, key in await Triggers(session).list_destinations_locked(
        owner_id,
        ids=[one for one in wanted if isinstance(one, int)],
        keys=[one for one in wanted if isinstance(one, str)],
    ):
        found |= {row_id: row_id} if key is None else {row_id: row_id, key: row_id}
    return found


def ids_of(wanted: Sequence[int | str], found: DestinationNames) -> list[int]:
    """Returns each destination's id once; raises Invalid at the name of one that is missing."""
    for place, name in enumerate(wanted):
        if name not in found:
            raise Invalid.at(["destinations", place], "There is no such destination.")
    return list(dict.fromkeys(found[name] for name in wanted))
