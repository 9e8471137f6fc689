"""Finds the destination that a request names, and gives endpoints the parts they need."""

from typing import Annotated

from fastapi import Depends, Request

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.db.shards import OwnedId
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.repository import Destinations
from event_trigger.triggers.dependencies import owned_id
from event_trigger.vault import Vault
from event_trigger.web.schemas import PathId
from event_trigger.web.session import SessionsDep
from event_trigger.web.state import app_state


async def get_destination_key(
    destination_id: PathId, principal: PrincipalDep, sessions: SessionsDep
) -> OwnedId:
    """Returns the caller's own destination, or for an admin any; raises NotFound."""
    async with sessions() as session:
        return await owned_id(principal, destination_id, Destinations(session).get_owner)


async def get_address_policy(request: Request) -> AddressPolicy:
    return app_state(request).address_policy


async def get_resolver(request: Request) -> DnsResolver:
    return app_state(request).resolver


async def get_vault(request: Request) -> Vault:
    return app_state(request).vault


VaultDep = Annotated[Vault, Depends(get_vault)]
DestinationKeyDep = Annotated[OwnedId, Depends(get_destination_key)]
AddressPolicyDep = Annotated[AddressPolicy, Depends(get_address_policy)]
ResolverDep = Annotated[DnsResolver, Depends(get_resolver)]
