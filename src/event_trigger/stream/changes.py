"""Reads the present state of deliveries and triggers that a stream was told of."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope
from event_trigger.db.engine import Sessions, is_outage
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.repository import Deliveries
from event_trigger.deliveries.schemas import read_delivery
from event_trigger.events.schemas import json_line, line_of
from event_trigger.stream.subscriptions import Subscription, Subscriptions, Topic
from event_trigger.triggers.dependencies import TriggerReader
from event_trigger.triggers.hook_port import HookKeeper
from event_trigger.triggers.stored_rows import StoredTriggers
from event_trigger.web.schemas import ResponseModel

ROWS_AT_ONCE = 50


class DeletedTrigger(ResponseModel):
    id: int


class MissedChanges(ResponseModel):
    topics: list[Topic]


class Change(NamedTuple):
    """A message of a stream: its kind, and a line of JSON."""

    kind: str
    line: str


@dataclass(frozen=True)
class Changes:
    """Reads changed rows as they are now, for a principal.

    With `trigger_ids`, only those of these triggers.

    `base_url` is where this service is reached, for the URLs of hooks.
    """

    sessions: Sessions
    subscriptions: Subscriptions
    principal: Principal
    hooks: HookKeeper
    base_url: str
    trigger_ids: Collection[int] | None

    async def take_from(self, subscription: Subscription) -> AsyncIterator[Change]:
        """Yields the changes that a stream was told of since the last call.

        Without the database, the rest of them is missed.
        """
        reads = {Topic.DELIVERIES: self._read_deliveries, Topic.TRIGGERS: self._read_triggers}
        for topic, read in reads.items():
            for some in _slices(subscription.take_changed(topic)):
                try:
                    changes = await read(some[0].owner_id, [one.id for one in some])
                except Exception as error:
                    if not is_outage(error):
                        raise
                    self.subscriptions.failures.failed("streams", error)
                    subscription.miss(topic)
                    break
                for one in changes:
                    yield one
        if missed := subscription.take_missed():
            yield Change("missed", json_line(MissedChanges(topics=missed)))

    async def _read_deliveries(self, owner_id: int, ids: Sequence[int]) -> list[Change]:
        async with self.subscriptions.reading, self.sessions() as session:
            found = await Deliveries(session).list_by_ids(owner_id, ids)
        shown = {one.id: one for one in found if self._shows(one.trigger_id)}
        return [
            Change("delivery", json_line(read_delivery(shown[one]))) for one in ids if one in shown
        ]

    async def _read_triggers(self, owner_id: int, ids: Sequence[int]) -> list[Change]:
        """Reads triggers as a list with `view=summary` shows them: payloads may be large."""
        wanted = [*filter(self._shows, ids)]
        may_fire = Scope.TRIGGERS_FIRE in self.principal.scopes
        async with self.subscriptions.reading, self.sessions() as session:
            found = await StoredTriggers(session).list_among(owner_id, wanted, summary=True)
            reader = TriggerReader(session, self.hooks, self.base_url, may_fire)
            written = await reader.write_all(found, summary=True)
        lines = {one.id: line_of(text) for one, text in zip(found, written, strict=True)}
        return [
            Change("trigger", lines[one])
            if one in lines
            else Change("trigger_deleted", json_line(DeletedTrigger(id=one)))
            for one in wanted
        ]

    def _shows(self, trigger_id: int) -> bool:
        is_wanted = self.trigger_ids is None or trigger_id in self.trigger_ids
        return is_wanted and self.principal.may_see(trigger_id)


def _slices(rows: Iterable[OwnedId]) -> Iterator[list[OwnedId]]:
    """Cuts rows into slices of one owner, each small enough for one statement and one step."""
    for _, group in groupby(rows, key=lambda one: one.owner_id):
        owned = list(group)
        for start in range(0, len(owned), ROWS_AT_ONCE):
            yield owned[start : start + ROWS_AT_ONCE]
