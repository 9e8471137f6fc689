"""Remembers whose a trigger is, which never changes: admins may name anybody's."""

from collections import OrderedDict

from event_trigger.db.engine import Sessions
from event_trigger.triggers.repository import Triggers

MOST_KNOWN = 10_000


class OwnerCache:
    """The owners of the triggers that admins called last, in this process."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._known: OrderedDict[int, int] = OrderedDict()

    async def get(self, trigger_id: int) -> int | None:
        """None if there is no such trigger; the database is asked once for each that there is."""
        if (owner_id := self._known.get(trigger_id)) is not None:
            self._known.move_to_end(trigger_id)
            return owner_id
        async with self._sessions() as session:
            owner_id = await Triggers(session).get_owner(trigger_id)
        if owner_id is not None:
            self._known[trigger_id] = owner_id
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return owner_id
