"""Describes a call of a hook as its sender made it, and answers to calls that make no event."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from event_trigger.errors import FieldError, Invalid
from event_trigger.web.request_head import client_address
from event_trigger.web.schemas import ResponseModel

JSON, PLAIN_TEXT = "application/json", "text/plain; charset=utf-8"


class RepeatedHeader(Invalid):
    """A header that must be there once came several times, so that its value is ambiguous."""

    def __init__(self, name: str = "content-type") -> None:
        detail = f"Send the header {name} once."
        super().__init__(detail, errors=[FieldError("parameter", name, detail)])


@dataclass(slots=True)
class HookRequest:
    """A call of a hook.

    `read_url` gives its `url`, which few senders sign. `query` is raw, without its question mark.
    `headers` have names in lower case, in the order in which they were sent. `address` is the
    caller's IP address, if it is known. `signal` is the part of the path behind the token.
    """

    method: str
    read_url: Callable[[], str]
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    address: str | None = None
    signal: str | None = None
    _values: Mapping[str, Sequence[str]] = field(init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        scope: Mapping[str, Any],
        body: bytes,
        *,
        base_url: Callable[[], str],
        signal: str | None = None,
    ) -> Self:
        """Describes an ASGI request whose body was read already."""
        path = scope["path"]
        return cls(
            method=scope["method"],
            read_url=lambda: base_url() + path,
            query=scope["query_string"].decode("latin-1"),
            headers=[
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in scope["headers"]
            ],
            body=body,
            address=client_address(scope),
            signal=signal,
        )

    def one(self, name: str) -> str | None:
        """Gets a header by its lower-case name, or None; raises RepeatedHeader."""
        found = self._values.get(name)
        if found is None:
            return None
        if len(found) > 1:
            raise RepeatedHeader(name)
        return found[0]

    def all(self, name: str) -> Sequence[str]:
        """Gets all values of a header by its lower-case name."""
        return self._values.get(name, ())

    def __post_init__(self) -> None:
        """Sorts the values by header: verifying and reading a call asks for a dozen."""
        values: dict[str, list[str]] = {}
        for name, value in self.headers:
            values.setdefault(name, []).append(value)
        self._values = values

    @property
    def content_type(self) -> str:
        """The media type and its parameters; empty if none was sent. Raises RepeatedHeader."""
        return self.one("content-type") or ""

    @property
    def url(self) -> str:
        """The absolute URL, as callers reach the service, without a query."""
        return self.read_url()

    @property
    def full_url(self) -> str:
        return f"{self.url}?{self.query}" if self.query else self.url


class NotFired(ResponseModel):
    """The answer to a call while the trigger is paused."""

    message: Literal["The trigger is paused: no event was made"] = (
        "The trigger is paused: no event was made"
    )


class PingReceived(ResponseModel):
    """The answer to a ping of a heartbeat."""

    message: Literal["Ping received"] = "Ping received"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a question of a sender, or to a call that is accepted and makes no event."""

    status: int = 200
    body: bytes = b""
    media_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(value: Mapping[str, object], *, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), JSON)


NOT_FIRED_WHILE_PAUSED = json_reply(NotFired().model_dump(), status=202)
PINGED = Reply(body=PingReceived().model_dump_json().encode(), media_type=JSON)
PING_RECEIVED = json_reply({"message": "Ping received: no event was made"})
WOULD_FIRE = Reply(media_type=JSON)
