"""Caches the owners of triggers, which never change: admins may fire triggers of any owner."""

from collections import OrderedDict

from event_trigger.db.engine import Sessions
from event_trigger.triggers.repository import Triggers

MOST_OWNERS_CACHED = 10_000


class OwnerCache:
    """Holds the owners of the triggers that admins last called in this process."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._known: OrderedDict[int, int] = OrderedDict()

    async def get(self, trigger_id: int) -> int | None:
        """Returns the trigger's owner, or None if it does not exist, which is not cached."""
        if (owner_id := self._known.get(trigger_id)) is not None:
            self._known.move_to_end(trigger_id)
            return owner_id
        async with self._sessions() as session:
            owner_id = await Triggers(session).get_owner(trigger_id)
        if owner_id is not None:
            self._known[trigger_id] = owner_id
            if len(self._known) > MOST_OWNERS_CACHED:
                self._known.popitem(last=False)
        return owner_id
