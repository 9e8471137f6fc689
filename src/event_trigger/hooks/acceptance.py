"""Reads from a hook's options which calls it accepts, and refuses other methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from event_trigger.errors import Forbidden, Problem
from event_trigger.hooks.requests import HookRequest, Reply
from event_trigger.models import HookMethod, Verify

_JSON_FIELDS = {"github": "payload", "slack": "payload"}  # of forms, by kind of verification
_ANY_ORIGIN = "*"
MOST_QUERY_CHARACTERS = 8_000  # as many as most proxies let through
_PREFETCH_HEADERS = frozenset({"purpose", "sec-purpose", "x-moz"})


class MethodRefused(Problem):
    """Answers 405 with the methods that the hook accepts."""

    status, slug, title = 405, "method-not-allowed", "Method Not Allowed"
    default_detail = (
        "This hook does not accept that method; the Allow header lists those that it does. Name"
        " others in details.hook.methods of the trigger."
    )


class QueryTooLong(Problem):
    status, slug, title = 414, "query-too-long", "The query is too long"
    default_detail = (
        f"Send a query of at most {MOST_QUERY_CHARACTERS} characters, and the rest as the body."
    )


class Prefetched(Forbidden):
    slug, title = "prefetched", "A browser must not fetch this before it is opened"
    default_detail = "This call fires a trigger, so a browser must not send it in advance."


def refuse_long_query(request: HookRequest) -> None:
    """Raises QueryTooLong, before anything reads the query: a URL has no other limit."""
    if len(request.query) > MOST_QUERY_CHARACTERS:
        raise QueryTooLong


def refuse_prefetch(request: HookRequest) -> None:
    """Raises Prefetched for a GET that a browser sends before its user has opened the URL."""
    if request.method == HookMethod.GET and any(
        name in _PREFETCH_HEADERS and "prefetch" in value.lower() for name, value in request.headers
    ):
        raise Prefetched


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The part of `details.hook` that says which calls are accepted, and how they are read.

    `secret_header` carries a signature or a token. `json_field` is the field of forms that holds
    the payload as JSON. With `takes_pings`, it is the hook of a heartbeat.
    """

    verify: str
    methods: tuple[str, ...]
    headers: frozenset[str]
    verify_token: str | None
    secret_header: str | None
    json_field: str | None
    takes_pings: bool

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Reads the options of a hook; absent ones have their defaults."""
        verify, secret_header = Verify(options["verify"]), options.get("header")
        takes_pings = options.get("pings") is True
        usual = (HookMethod.GET, HookMethod.POST) if takes_pings else (HookMethod.POST,)
        return cls(
            verify=verify,
            methods=tuple(options.get("methods") or usual),
            headers=frozenset(name.lower() for name in options.get("headers") or ()),
            verify_token=options.get("verify_token"),
            secret_header=None if secret_header is None else secret_header.lower(),
            json_field=_JSON_FIELDS.get(verify),
            takes_pings=takes_pings,
        )

    def check_method(self, method: str) -> None:
        """Raises MethodRefused for a method that the hook does not name."""
        if method not in self.methods:
            raise MethodRefused(headers=self._allow())

    def reply_to_options(self, *, is_validation: bool) -> Reply:
        """Answers OPTIONS; senders of CloudEvents ask by it whether they may call."""
        if is_validation:
            headers = {"WebHook-Allowed-Origin": _ANY_ORIGIN, "WebHook-Allowed-Rate": "*"}
            return Reply(headers={**self._allow(), **headers})
        return Reply(status=204, headers=self._allow())

    def _allow(self) -> dict[str, str]:
        methods = [*self.methods, "OPTIONS"]
        if HookMethod.GET in self.methods:
            methods.append("HEAD")
        return {"Allow": ", ".join(sorted(methods))}
