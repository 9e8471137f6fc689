"""Decides which deliveries can be cancelled or sent again, and does that to all of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from event_trigger.actions.deliveries.repository import ActedDelivery, ManyDeliveries
from event_trigger.audit.recorder import RowChange, record_all
from event_trigger.db.clock import database_now
from event_trigger.db.notify import DELIVERIES_CHANGED, notify
from event_trigger.deliveries.cancellation import CANCELLED, DeliveryFinished
from event_trigger.deliveries.payloads.repository import Payloads
from event_trigger.deliveries.redelivery import (
    MOST_RESTORED_BYTES,
    AttemptUnderWay,
    BacklogFull,
    DestinationGone,
    PayloadGone,
    pace_of,
)
from event_trigger.errors import Conflict, Problem
from event_trigger.models import DeliveryStatus


class TooMuchToRestore(Conflict):
    slug, title = "too-much-to-restore", "Too many payloads have to be stored again"
    default_detail = (
        "One action stores at most 32 MiB of payloads again, which others have used up. Repeat the"
        " action for this delivery."
    )


@dataclass(slots=True)
class Decided:
    """The deliveries that an action can change, and the problems of the others."""

    changeable: list[ActedDelivery] = field(default_factory=list)
    failed: dict[int, Problem] = field(default_factory=dict)


def decide_cancelling(deliveries: Iterable[ActedDelivery]) -> Decided:
    """Does what `cancellation.cancel` does for one."""
    decided = Decided()
    for one in deliveries:
        if not one.is_waiting:
            decided.failed[one.id] = DeliveryFinished()
        elif one.is_in_flight:
            decided.failed[one.id] = AttemptUnderWay(headers={"Retry-After": "1"})
        else:
            decided.changeable.append(one)
    return decided


async def cancel_all(many: ManyDeliveries, deliveries: Sequence[ActedDelivery]) -> None:
    await many.cancel([one.id for one in deliveries])
    changes = [RowChange(one.id, {"status": one.status}, CANCELLED) for one in deliveries]
    await record_all(many.session, "delivery", changes, project_id=many.owner_id)


@dataclass(frozen=True, slots=True)
class Resending:
    """Sends deliveries again; `most_bytes` is the limit of a project's backlog."""

    many: ManyDeliveries
    hops: int
    most_bytes: int

    async def decide(self, deliveries: Sequence[ActedDelivery]) -> Decided:
        """Does what `redelivery.redeliver` does for one: also locks or restores the payloads."""
        known = await self.many.list_rate_limits([*{one.destination_id for one in deliveries}])
        decided, free = Decided(), list[ActedDelivery]()
        for one in deliveries:
            if one.destination_id not in known:
                decided.failed[one.id] = DestinationGone()
            elif one.is_in_flight:
                decided.failed[one.id] = AttemptUnderWay(headers={"Retry-After": "1"})
            else:
                free.append(one)
        problems = await self._keep_payloads(free)
        for one in free:
            if (problem := problems.get(one.event_id)) is None or _needs_no_payload(one):
                decided.changeable.append(one)
            else:
                decided.failed[one.id] = problem
        return decided

    async def _keep_payloads(self, deliveries: Sequence[ActedDelivery]) -> dict[int, Problem]:
        """Locks payloads, or stores them again; gives the problems of the others, by event."""
        payloads, shard = Payloads(self.many.session), self.many.shard
        needed = {one.event_id: one for one in deliveries if not _needs_no_payload(one)}
        stored = {*await payloads.lock(shard, needed, wait=True)} if needed else set()
        missing = {event_id: one for event_id, one in needed.items() if event_id not in stored}
        if not missing:
            return {}
        if await payloads.is_full(self.many.owner_id):
            used = await payloads.backlog_of(self.many.owner_id)
            return dict.fromkeys(missing, BacklogFull(used=used, most=self.most_bytes))
        problems: dict[int, Problem] = dict.fromkeys(missing, TooMuchToRestore())
        restorable = _that_fit(missing)
        restored = await payloads.restore(shard, restorable)
        problems |= dict.fromkeys(restorable, PayloadGone())
        return {one: problem for one, problem in problems.items() if one not in restored}

    async def queue_all(self, deliveries: Sequence[ActedDelivery]) -> None:
        """Queues deliveries, those of one destination at a pace that new events come in between."""
        now = await database_now(self.many.session)
        limits = await self.many.list_rate_limits([*{one.destination_id for one in deliveries}])
        ids, first_ats, places = [], list[datetime](), Counter[int]()
        for one in deliveries:
            ids.append(one.id)
            pace = pace_of(limits.get(one.destination_id))
            first_ats.append(now + places[one.destination_id] * pace)
            places[one.destination_id] += 1
        await self.many.queue_again(ids, first_ats, hops=self.hops)
        after = {"status": DeliveryStatus.PENDING}
        changes = [RowChange(one.id, {"status": one.status}, after) for one in deliveries]
        await record_all(self.many.session, "delivery", changes, project_id=self.many.owner_id)
        await notify(self.many.session, DELIVERIES_CHANGED)


def _needs_no_payload(delivery: ActedDelivery) -> bool:
    return delivery.payload_size == 0 or delivery.has_own_payload


def _that_fit(missing: dict[int, ActedDelivery]) -> dict[int, datetime]:
    """Returns the first events whose payloads fit in one transaction, with `triggered_at`."""
    fitting, size = dict[int, datetime](), 0
    for event_id, one in missing.items():
        size += one.payload_size
        if size > MOST_RESTORED_BYTES and fitting:
            break
        fitting[event_id] = one.triggered_at
    return fitting
