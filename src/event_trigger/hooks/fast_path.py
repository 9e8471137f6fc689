"""Answers plain calls of `POST /hooks/{token}` outside FastAPI."""

import re
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.deliveries.http.hops import HOPS_HEADER
from event_trigger.firing.fire import CallAnswer
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.firing.plain_requests import (
    headers_of_plain_post,
    pass_on,
    read_body,
    response_to,
)
from event_trigger.firing.rate_limits import RateLimits, fire_within_limits
from event_trigger.hooks.calls import HookCalls

_HOOK_PATH = re.compile(r"/hooks/([A-Za-z0-9_-]{1,100})", re.ASCII)


@dataclass(frozen=True, slots=True)
class HookFastPath:
    app: ASGIApp
    calls: HookCalls
    group_commit: GroupCommit
    rate_limits: RateLimits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of_plain_post(scope)
        path = None if headers is None else _HOOK_PATH.fullmatch(scope["path"])
        if headers is None or path is None:
            await self.app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            await pass_on(self.app, scope, receive, send, body=None)
            return
        texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        firing = self._fire(path[1], texts, body)
        await (await response_to(scope, firing))(scope, receive, send)

    async def _fire(self, token: str, headers: dict[str, str], body: bytes) -> CallAnswer:
        hops = [value for name, value in headers.items() if name == HOPS_HEADER]
        call = await self.calls.read(token, headers, body, hops=hops)
        return await fire_within_limits(self.group_commit, self.rate_limits, call, caller=None)
