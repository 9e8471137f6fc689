"""Answers calls of hooks outside FastAPI, and everything that is asked by OPTIONS and HEAD."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope

from event_trigger.hooks.calls import HookCalls
from event_trigger.hooks.responses import respond
from event_trigger.models import HookMethod
from event_trigger.web.fast_paths import read_body, reading_again

_HOOK_PATH = re.compile(r"/hooks/([A-Za-z0-9_-]{1,100})", re.ASCII)
_CALLS, _ASKS = frozenset(HookMethod), frozenset({"HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class HookFastPath:
    """Answers calls whose body has a known length; FastAPI's operation answers the others.

    OPTIONS and HEAD of a hook never go on: others would make a GET of HEAD, which may fire.
    """

    calls: HookCalls

    async def answer(self, scope: Scope, receive: Receive) -> Response | Receive:
        """Answers a call of a hook after the commit of its event; see web/fast_paths.py."""
        token = token_of(scope)
        if token is None or not _is_answered(scope):
            return receive
        body = await read_body(receive) if scope["method"] in _CALLS else b""
        if body is None:
            return reading_again(receive, None)
        return await respond(self.calls, token, scope, body)


def token_of(scope: Scope) -> str | None:
    """Returns the token in the path of a hook, or None for any other path."""
    path: str = scope["path"]
    found = _HOOK_PATH.fullmatch(path.removeprefix(scope.get("root_path", "")))
    return None if found is None else found[1]


def _is_answered(scope: Scope) -> bool:
    return scope["method"] in _ASKS or (
        scope["method"] in _CALLS and not _is_chunked(scope["headers"])
    )


def _is_chunked(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return b"transfer-encoding" in [name for name, _ in headers]
