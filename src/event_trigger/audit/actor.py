"""Keeps the actor of the current changes: a user, an API key, an operator or the service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from event_trigger.models import ActorKind


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change. `scope` is the ASGI scope, whose route is set later."""

    kind: ActorKind
    command: str = ""
    user_id: int | None = None
    key_id: int | None = None
    address: str | None = None
    request_id: str | None = None
    scope: Mapping[str, Any] | None = None

    @property
    def action(self) -> str:
        route = None if self.scope is None else self.scope.get("route")
        return self.command or getattr(route, "operation_id", None) or "unknown"


_current_actor: ContextVar[Actor | None] = ContextVar("acting", default=None)


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Attributes all changes within the body to this actor."""
    token = _current_actor.set(actor)
    try:
        yield
    finally:
        _current_actor.reset(token)


def current_actor() -> Actor | None:
    """Returns the actor of the changes; None where changes are not recorded."""
    return _current_actor.get()


def identify_actor(kind: ActorKind, *, user_id: int, key_id: int | None = None) -> None:
    """Adds the user and key to the current actor, once the credential is checked."""
    if (actor := _current_actor.get()) is not None:
        _current_actor.set(replace(actor, kind=kind, user_id=user_id, key_id=key_id))
