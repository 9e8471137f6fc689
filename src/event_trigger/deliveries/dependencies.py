"""Finds the delivery that a request names, and gives endpoints the parts they need."""

from collections.abc import Collection
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import WithJsonSchema

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.filters import DeliveryFilter
from event_trigger.deliveries.http.hops import HOPS_HEADER, parse_hops
from event_trigger.deliveries.http.sender import Sender
from event_trigger.deliveries.repository import Deliveries
from event_trigger.deliveries.schemas import DeliveryQuery
from event_trigger.triggers.dependencies import owned_id
from event_trigger.web.dependencies import SessionDep, app_state
from event_trigger.web.schemas import PathId, Text


async def get_delivery_key(
    delivery_id: PathId, principal: PrincipalDep, session: SessionDep
) -> OwnedId:
    """Returns the caller's own delivery, or for an admin any; raises NotFound."""
    return await owned_id(principal, delivery_id, Deliveries(session).get_owner)


def filter_of(
    query: DeliveryQuery, *, trigger_ids: Collection[int] | None = None
) -> DeliveryFilter:
    """Makes the filter of a query; `trigger_ids` are those that an API key is good for, if few."""
    return DeliveryFilter(
        query.event_id,
        query.trigger_id,
        query.destination_id,
        None if query.status is None else frozenset(query.status),
        query.error,
        query.since,
        query.until,
        trigger_ids,
        query.notice_id,
    )


async def get_hops(
    hops: Annotated[
        list[Text] | None,
        Header(
            alias=HOPS_HEADER,
            description="How many deliveries led to this call; deliveries send it. From 10 on, the"
            " call is refused as a loop.",
        ),
        WithJsonSchema({"type": "string", "pattern": "^[0-9]$"}),
    ] = None,
) -> int:
    return parse_hops(hops or ())


HopsDep = Annotated[int, Depends(get_hops)]


async def get_sender(request: Request) -> Sender:
    return app_state(request).sender


DeliveryKeyDep = Annotated[OwnedId, Depends(get_delivery_key, scope="function")]
SenderDep = Annotated[Sender, Depends(get_sender)]
