"""Reads what became of the deliveries and triggers that a stream was told of."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope
from event_trigger.db.engine import Sessions
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.repository import Deliveries
from event_trigger.deliveries.schemas import DeliveryRead
from event_trigger.events.schemas import json_line
from event_trigger.stream.subscriptions import Subscription, Topic
from event_trigger.triggers.dependencies import TriggerReader
from event_trigger.triggers.hook_port import HookKeeper
from event_trigger.triggers.repository import Triggers
from event_trigger.web.schemas import ResponseModel


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
    principal: Principal
    hooks: HookKeeper
    base_url: str
    trigger_ids: Collection[int] | None

    async def take_from(self, subscription: Subscription) -> AsyncIterator[Change]:
        """Yields the changes that a stream was told of since the last call."""
        if missed := subscription.take_missed():
            yield Change("missed", json_line(MissedChanges(topics=missed)))
        for owner_id, ids in _by_owner(subscription.take_changed(Topic.DELIVERIES)):
            for delivery in await self._read_deliveries(owner_id, ids):
                yield Change("delivery", json_line(delivery))
        for owner_id, ids in _by_owner(subscription.take_changed(Topic.TRIGGERS)):
            async for change in self._read_triggers(owner_id, [*filter(self._shows, ids)]):
                yield change

    async def _read_deliveries(self, owner_id: int, ids: list[int]) -> list[DeliveryRead]:
        async with self.sessions() as session:
            found = await Deliveries(session).list_by_ids(owner_id, ids)
        shown = [DeliveryRead.model_validate(one) for one in found if self._shows(one.trigger_id)]
        return sorted(shown, key=lambda one: ids.index(one.id))

    async def _read_triggers(self, owner_id: int, ids: list[int]) -> AsyncIterator[Change]:
        may_fire = Scope.TRIGGERS_FIRE in self.principal.scopes
        async with self.sessions() as session:
            found = await Triggers(session).list_by_ids(owner_id, ids)
            reader = TriggerReader(session, self.hooks, self.base_url, may_fire)
            read = {one.id: one for one in await reader.read_all(found)}
        for one in ids:
            if one in read:
                yield Change("trigger", json_line(read[one]))
            else:
                yield Change("trigger_deleted", json_line(DeletedTrigger(id=one)))

    def _shows(self, trigger_id: int) -> bool:
        is_wanted = self.trigger_ids is None or trigger_id in self.trigger_ids
        return is_wanted and self.principal.may_see(trigger_id)


def _by_owner(rows: Iterable[OwnedId]) -> Iterable[tuple[int, list[int]]]:
    grouped: defaultdict[int, list[int]] = defaultdict(list)
    for one in rows:
        grouped[one.owner_id].append(one.id)
    return grouped.items()
