"""Remembers which triggers have which keys, so that a call by key costs no more than one by id."""

from collections import OrderedDict

from event_trigger.db.engine import Sessions
from event_trigger.db.shards import OwnedId
from event_trigger.triggers.repository import Triggers

MOST_REMEMBERED = 10_000  # keys; the ones that were not called for longest are forgotten first


class NamedTriggers:
    """Finds triggers by key, and remembers them.

    Firing compares the key again, since a remembered one may be out of date. Keys that no trigger
    has are not remembered, so a new one is found at once.
    """

    def __init__(self, sessions: Sessions, *, most: int = MOST_REMEMBERED) -> None:
        self._sessions = sessions
        self._most = most
        self._known: OrderedDict[tuple[int, str], int] = OrderedDict()

    async def find(self, project_id: int, key: str) -> int | None:
        """Returns the id of the trigger that has the key, or had it when it was last looked up."""
        name = (project_id, key)
        if (known := self._known.get(name)) is not None:
            self._known.move_to_end(name)
            return known
        async with self._sessions() as session:
            found = await Triggers(session).get_id(project_id, key)
        if found is not None:
            self._known[name] = found
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return found

    def forget(self, trigger: OwnedId, key: str) -> None:
        """Forgets a key that the trigger does not have any more."""
        self._known.pop((trigger.owner_id, key), None)
