"""Which delivery a request is about: the caller's own, or anybody's for an admin."""

from typing import Annotated

from fastapi import Depends, Request

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.deliveries.repository import Deliveries
from event_trigger.deliveries.sender import Sender
from event_trigger.triggers.dependencies import owned_id
from event_trigger.triggers.repository import OwnedId
from event_trigger.web.schemas import Id
from event_trigger.web.services import service
from event_trigger.web.session import SessionDep


async def get_delivery_key(
    delivery_id: Id, principal: PrincipalDep, session: SessionDep
) -> OwnedId:
    return await owned_id(principal, delivery_id, Deliveries(session).get_owner)


async def get_sender(request: Request) -> Sender:
    return service(request, Sender)


DeliveryKeyDep = Annotated[OwnedId, Depends(get_delivery_key, scope="function")]
SenderDep = Annotated[Sender, Depends(get_sender)]
