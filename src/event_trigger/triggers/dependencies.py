"""Which trigger a request is about: the caller's own, or anybody's for an admin."""

from typing import Annotated

from fastapi import Depends

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.errors import NotFound
from event_trigger.triggers.repository import OwnedId, Triggers
from event_trigger.web.schemas import Id
from event_trigger.web.session import SessionDep


async def get_trigger_key(trigger_id: Id, principal: PrincipalDep, session: SessionDep) -> OwnedId:
    """Somebody else's id is looked for among the caller's own, and so is not found."""
    if not principal.is_admin:
        return OwnedId(principal.user_id, trigger_id)
    owner_id = await Triggers(session).get_owner(trigger_id)
    if owner_id is None:
        raise NotFound
    return OwnedId(owner_id, trigger_id)


TriggerKeyDep = Annotated[OwnedId, Depends(get_trigger_key, scope="function")]
