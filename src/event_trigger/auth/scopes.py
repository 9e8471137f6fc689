"""What a credential may do: the words of it, and which role holds which."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from event_trigger.errors import Forbidden
from event_trigger.models import Role


class Scope(StrEnum):
    TRIGGERS_READ = "triggers:read"
    TRIGGERS_WRITE = "triggers:write"
    TRIGGERS_FIRE = "triggers:fire"
    EVENTS_READ = "events:read"
    DESTINATIONS_READ = "destinations:read"
    DESTINATIONS_WRITE = "destinations:write"
    ADMIN = "admin"


class MissingScope(Forbidden):
    """Names what is missing, also to clients that read RFC 6750, section 3.1."""

    slug, title = "missing-scope", "A scope is missing"

    def __init__(self, missing: Sequence[str] = (), what: str = "This") -> None:
        named = " ".join(missing)
        super().__init__(
            f"{what} needs the scope {named}, which your credential does not hold.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{named}"'},
        )


class LimitedKey(Forbidden):
    slug, title = "limited-key", "The key is limited to some triggers"
    default_detail = "This API key is only good for some triggers, and not for this."


IN_WORDS = {
    Scope.TRIGGERS_READ: "read triggers, what they will do and what became of their instants",
    Scope.TRIGGERS_WRITE: "create, change, pause and delete triggers, and see what is changed; with"
    " destinations:read, name destinations",
    Scope.TRIGGERS_FIRE: "fire triggers by hand; with events:read, repeat events",
    Scope.EVENTS_READ: "read, follow and export events and their deliveries",
    Scope.DESTINATIONS_READ: "read destinations",
    Scope.DESTINATIONS_WRITE: "change destinations, and see what is changed, and send deliveries"
    " again; with destinations:read, read their secrets",
    Scope.ADMIN: "what is everybody's, users and the audit log (only admins hold it)",
}
_OF_ROLE = {
    Role.USER: frozenset(Scope) - {Scope.ADMIN},
    Role.ADMIN: frozenset(Scope),
}


def held(role: Role, narrowed_to: Iterable[str] | None) -> frozenset[Scope]:
    """What is left of a role's scopes; of those it does not hold (any more) there is nothing."""
    if narrowed_to is None:
        return _OF_ROLE[role]
    return _OF_ROLE[role].intersection(narrowed_to)
