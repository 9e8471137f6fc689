"""Renders the requests of claimed deliveries, or reads those that failed attempts have kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from event_trigger.db.engine import Sessions
from event_trigger.deliveries.queue.deliveries import FIRST_LEASE, ClaimedDelivery
from event_trigger.deliveries.queue.destinations import LockedDestination
from event_trigger.deliveries.queue.requests import KeptRequests
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.templates.jobs import (
    Rendered,
    RenderJob,
    RenderOutcome,
    event_variables,
)
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.events.trigger_names import TriggerNames

RENDER_SECONDS = 5.0  # of all that is claimed of an owner at a time
SEND_WITHIN = 10.0  # seconds of its claim; a lease lasts for 5 s more, and the attempt's timeout

Claimed = Sequence[tuple[ClaimedDelivery, LockedDestination]]


@dataclass(frozen=True, slots=True)
class RequestRendering:
    sessions: Sessions
    renderer: Renderer

    async def render(
        self, shard: int, claimed: Claimed, *, within: float, most_bytes: int
    ) -> Mapping[int, RenderOutcome]:
        """Gives each delivery's request, or why it has none.

        It waits `within` so many seconds, and renders bodies of `most_bytes`.

        1. Reads the requests that earlier attempts have kept, unless the form is another since.
        2. Renders the others, without a connection.
        """
        found = await self._list_kept(shard, claimed)
        missing = [one for one in claimed if one[0].id not in found]
        if not missing:
            return found
        jobs = [_job(*one) for one in missing]
        outcomes = await self.renderer.render_all(jobs, within=within, most_bytes=most_bytes)
        for (delivery, _), outcome in zip(missing, outcomes, strict=True):
            found[delivery.id] = outcome
        return found

    async def _list_kept(self, shard: int, claimed: Claimed) -> dict[int, RenderOutcome]:
        forms = {one.id: to.form.digest for one, to in claimed if one.lease > FIRST_LEASE}
        if not forms:
            return {}
        async with self.sessions() as session:
            kept = await KeptRequests(session).list(shard, forms)
        return {
            one.delivery_id: Rendered(one.url, one.body, one.subject)
            for one in kept
            if one.form == forms[one.delivery_id]
        }


def _job(delivery: ClaimedDelivery, destination: LockedDestination) -> RenderJob:
    event = event_variables(
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        time=delivery.triggered_at,
        scheduled_for=delivery.scheduled_for,
        is_test=delivery.is_test,
        trigger_id=delivery.trigger_id if delivery.subject is None else None,
        trigger=TriggerNames(delivery.trigger_key, delivery.trigger_name),
    )
    return render_job(destination.form, event, delivery.payload, owner_id=destination.owner_id)


def render_job(
    form: RequestForm, event: Mapping[str, object], payload: str | None, *, owner_id: int
) -> RenderJob:
    return RenderJob(
        form.template, form.url, form.media_type, event, payload, owner_id, form.subject
    )
