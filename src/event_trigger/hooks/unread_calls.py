"""Puts calls of hooks on record whose body is refused before anybody reads it."""

from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trigger.db.engine import is_outage
from event_trigger.db.errors import log_fields
from event_trigger.errors import EncodedBody, Problem, TooLarge
from event_trigger.hooks.calls import HookCalls
from event_trigger.hooks.fast_path import token_of
from event_trigger.web.addresses import client_address

log = structlog.get_logger()

_REFUSED: dict[int, type[Problem]] = {TooLarge.status: TooLarge, EncodedBody.status: EncodedBody}


@dataclass(frozen=True, slots=True)
class UnreadCalls:
    """Stands in front of the limit of bodies, and notes its refusals once they are answered."""

    app: ASGIApp
    calls: HookCalls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = token_of(scope) if scope["type"] == "http" else None
        if token is None:
            await self.app(scope, receive, send)
            return
        refused: type[Problem] | None = None

        async def send_and_look(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                refused = _REFUSED.get(message["status"])
            await send(message)

        await self.app(scope, receive, send_and_look)
        if refused is not None:
            await self._record(token, scope, refused())

    async def _record(self, token: str, scope: Scope, problem: Problem) -> None:
        try:
            await self.calls.record_unread(
                token, problem, method=scope["method"], address=client_address(scope)
            )
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("refusal_not_recorded", **log_fields(error))
