"""Imports and analyses each operation at its first call, in a thread beside the event loop.

FastAPI reads the signatures of all operations when it is given them. That, and the modules that
only these operations need, took a fourth of a start; most processes are asked for few of them.
Convertors tell the ids in paths from the words that stand in their place, as in
`/triggers/actions`.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import RLock
from typing import Any

from fastapi import Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette._utils import get_route_path
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.responses import StreamingResponse
from starlette.routing import BaseRoute, Match, compile_path, get_name
from starlette.types import Receive, Scope, Send

from event_trigger.web.cpu_bound import yield_often
from event_trigger.web.schemas import stop_deferring

HOLIDAYS = "holidays"
_WORDS = ("actions", "by-key", "recent", "render", "trigger-batch")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# the thread that builds the document analyses, too: one analyses at a time
_LOCK = RLock()
_COMPILED = frozenset({"path_regex", "path_format", "param_convertors"})
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="routes", initializer=yield_often)


class IdConvertor(StringConvertor):
    """Matches anything but those words: a value that is no id gets a 422 which says so.

    The words have paths of their own, which say which methods they allow.
    """

    regex = f"(?!(?:{'|'.join(_WORDS)})(?:/|$))[^/]+"


class CalendarKeyConvertor(StringConvertor):
    """Matches anything but the one word that no calendar can have as its key."""

    regex = f"(?!{HOLIDAYS}(?:/|$))[^/]+"


register_url_convertor("id", IdConvertor())  # for paths such as /triggers/{trigger_id:id}
register_url_convertor("calendar_key", CalendarKeyConvertor())


class LazyRoute(APIRoute):
    """A route that knows its path and methods, and the rest once an attribute of that is read."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._options: dict[str, Any] | None = options
        self.name = options["name"] or get_name(endpoint)
        self._know(path, set(options["methods"] or ("GET",)), options["response_class"], endpoint)

    def _know(
        self,
        path: str,
        methods: set[str],
        response_class: type[Response] | DefaultPlaceholder,
        endpoint: Callable[..., Any],
    ) -> None:
        self.path, self.methods, self.response_class = path, methods, response_class
        self.endpoint = endpoint
        self._beginning = path.partition("{")[0]
        self._slashes = None if path.endswith(":path}") else path.count("/")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Compiles the path only for a request that it may fit; most differ before a parameter."""
        path = get_route_path(scope)
        if not path.startswith(self._beginning) or self._slashes not in {None, path.count("/")}:
            return Match.NONE, {}
        return super().matches(scope)

    def __getattr__(self, name: str) -> Any:
        if name in _COMPILED:
            self.path_regex, self.path_format, self.param_convertors = compile_path(self.path)
            return object.__getattribute__(self, name)
        with _LOCK:
            self._analyse()
        return object.__getattribute__(self, name)

    def _analyse(self) -> None:
        if self._options is not None:
            options, self._options = self._options, None
            stop_deferring()
            try:
                super().__init__(self.path, self.endpoint, **options)
            except BaseException:
                self._options = options  # the next call tries again
                raise

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "app" not in vars(self):
            await asyncio.get_running_loop().run_in_executor(_THREAD, getattr, self, "app")
        await super().handle(scope, receive, send)


class ImportedRoute(LazyRoute):
    """A route of a module that is imported when more than its path and methods is needed."""

    def __init__(
        self,
        path: str,
        methods: set[str],
        response_class: type[Response],
        find: Callable[[], LazyRoute],
    ) -> None:
        """`find` imports the module, and returns its route."""
        self._find = find
        self._know(path, methods, response_class, find)

    def _analyse(self) -> None:
        if "app" not in vars(self):
            found = self._find()
            found._analyse()
            vars(self).update(vars(found))


def allowed_methods(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """Lists the methods of all routes with the path of `scope`; none if there is no such path."""
    found = [one for one in iter_route_contexts(routes) if one.matches(scope)[0] is not Match.NONE]
    methods = {method for one in found for method in one.methods or ()} - {"HEAD"}
    if methods:
        methods.add("OPTIONS")
    read = next((one for one in found if "GET" in (one.methods or ())), None)
    if read is not None and not _is_stream(read):
        methods.add("HEAD")
    return [method for method in _METHODS if method in methods]


def _is_stream(route: RouteContext) -> bool:
    kind = getattr(route, "response_class", None)
    return isinstance(kind, type) and issubclass(kind, StreamingResponse)
