"""Applies an action to up to 10,000 deliveries of one project, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.actions.deliveries.changes import (
    Decided,
    Resending,
    cancel_all,
    decide_cancelling,
)
from event_trigger.actions.deliveries.repository import ActedDelivery, ManyDeliveries
from event_trigger.actions.deliveries.schemas import DeliveryAction, DeliveryActions
from event_trigger.actions.schemas import MOST_ROWS, TooManyMatched
from event_trigger.deliveries.dependencies import filter_of
from event_trigger.deliveries.filters import DeliveryFilter
from event_trigger.deliveries.redelivery import AttemptUnderWay
from event_trigger.deliveries.repository import Deliveries
from event_trigger.errors import Problem


@dataclass(frozen=True, slots=True)
class Applied:
    """The deliveries that an action was applied to, those that it changed, and the problems."""

    found: Sequence[int]
    changed: Sequence[int]
    failed: dict[int, Problem]


@dataclass(frozen=True, slots=True)
class ManyDeliveriesAction:
    """Applies actions in one project; `most_bytes` is the limit of its backlog."""

    session: AsyncSession
    owner_id: int
    hops: int
    most_bytes: int

    async def apply(self, body: DeliveryActions) -> Applied:
        """Applies an action, or with `dry_run` only decides what it would do.

        1. Choose the deliveries, and lock those that no sender works on.
        2. Decide on each of them.
        3. Change all at once, with an audit entry for each.
        """
        many = ManyDeliveries(self.session, self.owner_id)
        resending = Resending(many, self.hops, self.most_bytes)
        found, free = await self._choose(many, body)
        decided = await _decide(body.action, resending, free)
        if decided.changeable and not body.dry_run:
            match body.action:
                case DeliveryAction.CANCEL:
                    await cancel_all(many, decided.changeable)
                case DeliveryAction.REDELIVER:
                    await resending.queue_all(decided.changeable)
        if body.dry_run:
            await self.session.rollback()  # payloads may have been stored again
        busy = {*found} - {one.id for one in free}
        under_way = dict.fromkeys(busy, AttemptUnderWay(headers={"Retry-After": "1"}))
        changed = [one.id for one in decided.changeable]
        return Applied(found, changed, decided.failed | under_way)

    async def _choose(
        self, many: ManyDeliveries, body: DeliveryActions
    ) -> tuple[list[int], list[ActedDelivery]]:
        """Returns the ids that were found, and those of the deliveries that can be decided on."""
        if body.filter is None:
            found = await many.read([*{*(body.ids or ())}], lock=False)
            ids = [one.id for one in found]
            return ids, found if body.dry_run else await many.read(ids, lock=True)
        wanted = filter_of(body.filter)
        ids = await self._select(wanted, limit=MOST_ROWS + 1)
        if len(ids) > MOST_ROWS:
            raise TooManyMatched
        rows = await many.read(ids, lock=not body.dry_run)
        if body.dry_run:
            return [one.id for one in rows], rows
        still = {*await self._select(wanted, limit=2 * MOST_ROWS)}
        return [one for one in ids if one in still], [one for one in rows if one.id in still]

    async def _select(self, wanted: DeliveryFilter, *, limit: int) -> list[int]:
        return await Deliveries(self.session).select_ids(self.owner_id, wanted, limit=limit)


async def _decide(
    action: DeliveryAction, resending: Resending, deliveries: Sequence[ActedDelivery]
) -> Decided:
    if action is DeliveryAction.CANCEL:
        return decide_cancelling(deliveries)
    return await resending.decide(deliveries)
