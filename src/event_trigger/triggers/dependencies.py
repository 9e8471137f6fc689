"""Which trigger a request is about, and what of it the caller gets to see."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import Depends, Request

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope
from event_trigger.db.shards import OwnedId
from event_trigger.errors import NotFound
from event_trigger.models import Trigger
from event_trigger.triggers.hook_port import HookKeeper, HookSecrets, verify_in
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schemas import TriggerRead, TriggerWritten, read_trigger
from event_trigger.web.schemas import Id
from event_trigger.web.session import SessionDep, SessionsDep
from event_trigger.web.state import app_state, on_the_loop


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
    trigger_id: Id, principal: PrincipalDep, sessions: SessionsDep
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


class Shown:
    """How triggers look to the caller: URLs of hooks are only for those who may fire them."""

    def __init__(
        self, request: Request, principal: PrincipalDep, session: SessionDep, hooks: HooksDep
    ) -> None:
        self._base_url = str(request.base_url)
        self._may_fire = Scope.TRIGGERS_FIRE in principal.scopes
        self._session = session
        self._hooks = hooks

    async def one(self, trigger: Trigger) -> TriggerRead:
        return (await self.all([trigger]))[0]

    async def all(self, triggers: Sequence[Trigger]) -> list[TriggerRead]:
        """Asks for all their hooks at once, if there are any."""
        hooked = [one.id for one in triggers if verify_in(one.details) is not None]
        reads = hooked and self._may_fire
        tokens = await self._hooks.list_tokens(self._session, hooked) if reads else {}
        return [read_trigger(one, hook_url=self._url(tokens.get(one.id))) for one in triggers]

    async def written(self, trigger: Trigger, made: HookSecrets | None) -> TriggerWritten:
        read = await self.one(trigger)
        secret = None if made is None else made.secret
        return TriggerWritten(**read.model_dump(), hook_secret=secret)

    def _url(self, token: str | None) -> str | None:
        return None if token is None else f"{self._base_url}hooks/{token}"


ShownDep = Annotated[Shown, Depends(on_the_loop(Shown), scope="function")]
TriggerKeyDep = Annotated[OwnedId, Depends(get_trigger_key)]
