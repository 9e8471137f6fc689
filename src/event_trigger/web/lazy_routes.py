"""Analyses each operation at its first call, in a thread beside the event loop.

FastAPI reads signatures and builds validators of all operations when it is given them, which took
an eighth of a start; most processes are asked for few of them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import RLock
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import compile_path, get_name
from starlette.types import Receive, Scope, Send

from event_trigger.web.schemas import stop_deferring
from event_trigger.web.turns import yield_often

# the document's thread analyses, too: one analyses at a time
_LOCK = RLock()
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="routes", initializer=yield_often)


class LazyRoute(APIRoute):
    """A route that knows its path and methods, and the rest once an attribute of that is read."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._options: dict[str, Any] | None = options
        self.path, self.endpoint = path, endpoint
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.name = options["name"] or get_name(endpoint)
        self.methods = set(options["methods"] or ("GET",))
        self.response_class = options["response_class"]

    def __getattr__(self, name: str) -> Any:
        self._analyse()
        return object.__getattribute__(self, name)

    def _analyse(self) -> None:
        with _LOCK:
            if self._options is not None:
                options, self._options = self._options, None
                stop_deferring()
                super().__init__(self.path, self.endpoint, **options)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "app" not in vars(self):
            await asyncio.get_running_loop().run_in_executor(_THREAD, self._analyse)
        await super().handle(scope, receive, send)
