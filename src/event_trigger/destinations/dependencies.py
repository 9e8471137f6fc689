"""Which destination a request is about: the caller's own, or anybody's for an admin."""

from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import BriefPrincipalDep, Principal, PrincipalDep
from event_trigger.destinations.names import Lookup, Names
from event_trigger.destinations.repository import Destinations
from event_trigger.destinations.target import Guard
from event_trigger.errors import NotFound
from event_trigger.triggers.repository import OwnedId
from event_trigger.vault import Vault
from event_trigger.web.schemas import Id
from event_trigger.web.services import service
from event_trigger.web.session import SessionDep, SessionsDep


async def get_destination_key(
    destination_id: Id, principal: PrincipalDep, session: SessionDep
) -> OwnedId:
    """Somebody else's id is looked for among the caller's own, and so is not found."""
    return await _key_for(principal, destination_id, session)


async def get_destination_key_briefly(
    destination_id: Id, principal: BriefPrincipalDep, sessions: SessionsDep
) -> OwnedId:
    """As `get_destination_key`, for what takes longer than a request may hold a connection."""
    async with sessions() as session:
        return await _key_for(principal, destination_id, session)


async def _key_for(principal: Principal, destination_id: int, session: AsyncSession) -> OwnedId:
    if not principal.is_admin:
        return OwnedId(principal.user_id, destination_id)
    owner_id = await Destinations(session).get_owner(destination_id)
    if owner_id is None:
        raise NotFound
    return OwnedId(owner_id, destination_id)


def get_vault(request: Request) -> Vault:
    return service(request, Vault)


def get_guard(request: Request) -> Guard:
    return service(request, Guard)


def get_lookup(request: Request) -> Lookup:
    return service(request, Names).lookup


DestinationKeyDep = Annotated[OwnedId, Depends(get_destination_key, scope="function")]
BriefDestinationKeyDep = Annotated[OwnedId, Depends(get_destination_key_briefly)]
GuardDep = Annotated[Guard, Depends(get_guard)]
LookupDep = Annotated[Lookup, Depends(get_lookup)]
VaultDep = Annotated[Vault, Depends(get_vault)]
