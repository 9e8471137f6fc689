"""Answers plain calls of `POST /hooks/{token}` below FastAPI's routing."""

import re
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from event_trigger.db.engine import is_outage
from event_trigger.deliveries.hops import HOPS_HEADER
from event_trigger.dispatch.group_commit import GroupCommit
from event_trigger.dispatch.plain_calls import fire, headers_of_plain_post, pass_on, read_body
from event_trigger.dispatch.rates import Rates
from event_trigger.errors import Problem
from event_trigger.hooks.calling import HookCalls
from event_trigger.web.problems import answer, outage

_PATH = re.compile(r"/hooks/([A-Za-z0-9_-]{1,100})", re.ASCII)


@dataclass(frozen=True, slots=True)
class HookFastPath:
    app: ASGIApp
    calls: HookCalls
    group_commit: GroupCommit
    rates: Rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of_plain_post(scope)
        found = None if headers is None else _PATH.fullmatch(scope["path"])
        if headers is None or found is None:
            await self.app(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            await pass_on(self.app, scope, receive, send, body=None)
            return
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        response = await self._answer(scope, found[1], named, body)
        await response(scope, receive, send)

    async def _answer(
        self, scope: Scope, token: str, headers: dict[str, str], body: bytes
    ) -> Response:
        try:
            hops = [value for name, value in headers.items() if name == HOPS_HEADER]
            call = await self.calls.read(token, headers, body, hops=hops)
        except Problem as problem:
            return answer(problem)
        except Exception as error:
            if not is_outage(error):
                raise
            return outage(scope["path"], error)
        return await fire(self.group_commit, self.rates, call, scope, caller=None)
