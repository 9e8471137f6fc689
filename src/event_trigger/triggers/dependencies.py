"""Which trigger a request is about, and what of it the caller gets to see."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope
from event_trigger.db.shards import OwnedId
from event_trigger.errors import NotFound
from event_trigger.models import Trigger
from event_trigger.triggers.hook_port import HookKeeper, HookSecrets, verify_in
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schemas import TriggerRead, TriggerWritten, read_trigger
from event_trigger.web.schemas import PathId
from event_trigger.web.session import SessionDep, SessionsDep
from event_trigger.web.state import app_state


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


async def get_trigger_key(
    trigger_id: PathId, principal: PrincipalDep, sessions: SessionsDep
) -> OwnedId:
    """What a key is not good for looks like what is not there.

    Keeps no connection: a call waits for its commit, which needs one.
    """
    if not principal.may_see(trigger_id):
        raise NotFound
    async with sessions() as session:
        return await owned_id(principal, trigger_id, Triggers(session).get_owner)


async def get_hooks(request: Request) -> HookKeeper:
    return app_state(request).hooks


HooksDep = Annotated[HookKeeper, Depends(get_hooks)]


@dataclass(frozen=True, slots=True)
class TriggerReader:
    """Shows triggers as the caller may see them: hook URLs only to those who may fire."""

    session: AsyncSession
    hooks: HookKeeper
    base_url: str
    may_fire: bool

    async def read(self, trigger: Trigger) -> TriggerRead:
        return (await self.read_all([trigger]))[0]

    async def read_all(self, triggers: Sequence[Trigger]) -> list[TriggerRead]:
        """Asks for all their hooks at once, if there are any."""
        hooked = [one.id for one in triggers if verify_in(one.details) is not None]
        reads = hooked and self.may_fire
        tokens = await self.hooks.list_tokens(self.session, hooked) if reads else {}
        return [read_trigger(one, hook_url=self._url(tokens.get(one.id))) for one in triggers]

    async def read_written(self, trigger: Trigger, made: HookSecrets | None) -> TriggerWritten:
        read = await self.read(trigger)
        secret = None if made is None else made.secret
        return TriggerWritten(**read.model_dump(), hook_secret=secret)

    def _url(self, token: str | None) -> str | None:
        return None if token is None else f"{self.base_url}hooks/{token}"


async def get_reader(
    request: Request, principal: PrincipalDep, session: SessionDep, hooks: HooksDep
) -> TriggerReader:
    may_fire = Scope.TRIGGERS_FIRE in principal.scopes
    return TriggerReader(session, hooks, str(request.base_url), may_fire)


ReaderDep = Annotated[TriggerReader, Depends(get_reader, scope="function")]
TriggerKeyDep = Annotated[OwnedId, Depends(get_trigger_key)]
