"""HTTP operations that list, read and repeat deliveries, and test destinations."""

import json
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import UNLIMITED, PrincipalDep, needs
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import Scope
from event_trigger.db.keyset import Page
from event_trigger.deliveries import cancellation, redelivery
from event_trigger.deliveries.dependencies import DeliveryKeyDep, HopsDep, SenderDep, filter_of
from event_trigger.deliveries.http.hops import LoopDetected, refuse_loop
from event_trigger.deliveries.ping import Pinger, TooManyPings
from event_trigger.deliveries.repository import Deliveries
from event_trigger.deliveries.schemas import (
    AttemptRead,
    DeliveryDetail,
    DeliveryQuery,
    DeliveryRead,
    DestinationTest,
    NumberedAttemptRead,
    Redelivered,
    Redelivery,
    read_delivery,
)
from event_trigger.destinations.dependencies import DestinationByKeyDep, DestinationKeyDep, VaultDep
from event_trigger.errors import (
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from event_trigger.models import Delivery
from event_trigger.web.dependencies import ReadsDep, SessionDep, SessionsDep, SettingsDep, app_state
from event_trigger.web.pagination import PageQueryDep
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["deliveries"], responses=problems(Unauthorized, Forbidden, NotFound, Invalid)
)
READ, WRITE = needs(Scope.EVENTS_READ), needs(Scope.DESTINATIONS_WRITE)
OPERATE = needs(Scope.TRIGGERS_FIRE, Scope.EVENTS_READ)


@router.get(
    "/deliveries", summary="List deliveries", operation_id="list_deliveries", dependencies=[READ]
)
async def list_deliveries(
    principal: PrincipalDep,
    reads: ReadsDep,
    paging: PageQueryDep,
    query: Annotated[DeliveryQuery, Query()],
) -> list[DeliveryRead]:
    """Lists deliveries, newest first. The `Link` header leads to the next page."""
    wanted = filter_of(query, trigger_ids=principal.trigger_ids)
    before, limit = paging.before_id(), paging.limit

    async def list_page(session: AsyncSession) -> Page[Delivery]:
        deliveries = Deliveries(session)
        return await deliveries.list_page(principal.project_id, wanted, before=before, limit=limit)

    async def shown(session: AsyncSession) -> bool:
        return before is None or await Deliveries(session).has(principal.project_id, before)

    page = await reads.run(list_page, shown=shown)
    rows = paging.rows_of(page, lambda delivery: delivery.id)
    return [read_delivery(row) for row in rows]


@router.get(
    "/deliveries/{delivery_id:id}",
    summary="Read a delivery",
    operation_id="get_delivery",
    dependencies=[READ],
    responses=problems(NotFound),
)
async def get_delivery(
    key: DeliveryKeyDep, principal: PrincipalDep, session: SessionDep
) -> DeliveryDetail:
    """Returns a delivery (one event for one destination) with all its attempts and results."""
    deliveries = Deliveries(session)
    delivery = await deliveries.get(key)
    if delivery is None or not principal.may_see(delivery.trigger_id):
        raise NotFound
    attempts = [
        NumberedAttemptRead.model_validate(one) for one in await deliveries.list_attempts(key)
    ]
    read = read_delivery(delivery)
    return DeliveryDetail(**read.model_dump(), attempts=attempts)


@router.post(
    "/deliveries/{delivery_id:id}/redeliver",
    summary="Send a delivery again",
    operation_id="redeliver",
    dependencies=[OPERATE, UNLIMITED, IDEMPOTENT],
    status_code=202,
    responses=problems(NotFound, redelivery.AttemptUnderWay, LoopDetected),
)
async def redeliver(
    key: DeliveryKeyDep, session: SessionDep, hops: HopsDep, settings: SettingsDep
) -> DeliveryRead:
    """Starts a new series of attempts now, with the same `webhook-id`."""
    refuse_loop(hops)
    queued = await redelivery.redeliver(
        session, key, hops=hops, most_bytes=settings.max_backlog_bytes
    )
    return read_delivery(queued)


@router.post(
    "/deliveries/{delivery_id:id}/cancel",
    summary="Cancel a delivery",
    operation_id="cancel_delivery",
    dependencies=[OPERATE, UNLIMITED],
    responses=problems(NotFound, cancellation.DeliveryFinished),
)
async def cancel_delivery(key: DeliveryKeyDep, session: SessionDep) -> DeliveryRead:
    """Ends a delivery that waits: it is `exhausted` with the error `cancelled`, and can be resent.

    A finished delivery answers 409, and so does one with an attempt under way: its result is not
    known yet, so try again after it.
    """
    return read_delivery(await cancellation.cancel(session, key))


@router.post(
    "/destinations/{destination_id:id}/redeliver",
    summary="Send exhausted deliveries again",
    operation_id="redeliver_exhausted",
    dependencies=[OPERATE, UNLIMITED],
    status_code=202,
    responses=problems(NotFound, UnsupportedMediaType),
)
async def redeliver_exhausted(
    body: Redelivery, key: DestinationKeyDep, sessions: SessionsDep
) -> Redelivered:
    """Sends again all exhausted deliveries of events from `since` until before `until`.

    At most 50 are sent per second, so that deliveries of new events are not held up.
    """
    return Redelivered(count=await redelivery.redeliver_exhausted(sessions, key, body))


async def get_pinger(
    request: Request, sessions: SessionsDep, vault: VaultDep, sender: SenderDep, hops: HopsDep
) -> Pinger:
    """Makes the sender of a test; raises LoopDetected."""
    refuse_loop(hops)
    state = app_state(request)
    public_url = state.settings.public_url
    return Pinger(sessions, vault, sender, state.mailer, state.renderer, public_url, hops)


async def read_test(request: Request, body: DestinationTest | None = None) -> str | None:
    """Returns the payload to send, if the body has one; raises Invalid for `null`."""
    if body is None and await request.body():
        raise Invalid.at([], "Send a JSON object, or no body.")
    if body is None or body.data is None:
        return None
    return json.dumps(body.data, ensure_ascii=False)


PingerDep = Annotated[Pinger, Depends(get_pinger)]
TestPayloadDep = Annotated[str | None, Depends(read_test)]


@router.post(
    "/destinations/{destination_id:id}/test",
    summary="Test a destination",
    operation_id="test_destination",
    dependencies=[WRITE, UNLIMITED],
    responses=problems(NotFound, UnsupportedMediaType, TooManyPings, LoopDetected),
)
async def test_destination(
    key: DestinationKeyDep, payload: TestPayloadDep, pinger: PingerDep
) -> AttemptRead:
    """Sends a signed sample now, or a mail, and gives the attempt: neither stored nor retried.

    With `data`, that is the payload of the sample: templates are tried with what they will get.
    Without it, a destination that hears of changes gets a sample of a notice.
    """
    return await pinger.ping(key, payload)


@router.post(
    "/destinations/by-key/{key}/test",
    summary="Test the destination with a key",
    operation_id="test_destination_by_key",
    dependencies=[WRITE, UNLIMITED],
    responses=problems(NotFound, UnsupportedMediaType, TooManyPings, LoopDetected),
)
async def test_destination_by_key(
    destination: DestinationByKeyDep, payload: TestPayloadDep, pinger: PingerDep
) -> AttemptRead:
    """Sends a signed sample now, as `POST /destinations/{destination_id}/test` does."""
    return await pinger.ping(destination, payload)
