"""Which trigger a request is about: the caller's own, or anybody's for an admin."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.auth.principal import Principal
from event_trigger.errors import NotFound
from event_trigger.triggers.repository import OwnedId, Triggers
from event_trigger.web.schemas import Id
from event_trigger.web.session import SessionDep


async def owned_id(
    principal: Principal, row_id: int, get_owner: Callable[[int], Awaitable[int | None]]
) -> OwnedId:
    """Somebody else's id is looked for among the caller's own, and so is not found.

    Only for an admin, who may name anybody's, `get_owner` is asked.
    """
    owner_id = await get_owner(row_id) if principal.is_admin else principal.user_id
    if owner_id is None:
        raise NotFound
    return OwnedId(owner_id, row_id)


async def get_trigger_key(trigger_id: Id, principal: PrincipalDep, session: SessionDep) -> OwnedId:
    """What a key is not good for looks like what is not there."""
    if not principal.may_see(trigger_id):
        raise NotFound
    return await owned_id(principal, trigger_id, Triggers(session).get_owner)


TriggerKeyDep = Annotated[OwnedId, Depends(get_trigger_key, scope="function")]
