"""Defines the scopes of credentials, and those that each role holds."""

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
    """Names the missing scopes in the text and in `WWW-Authenticate` (RFC 6750, section 3.1)."""

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


SCOPE_DESCRIPTIONS = {
    Scope.TRIGGERS_READ: "read triggers, their schedules and the reconciliation of their instants",
    Scope.TRIGGERS_WRITE: "create, change, pause and delete triggers, and see the result; with"
    " destinations:read, name destinations",
    Scope.TRIGGERS_FIRE: "fire triggers by hand; with events:read, repeat events",
    Scope.EVENTS_READ: "read, follow and export events and their deliveries",
    Scope.DESTINATIONS_READ: "read destinations",
    Scope.DESTINATIONS_WRITE: "change destinations, see the result, and send deliveries again; with"
    " destinations:read, read their secrets",
    Scope.ADMIN: "read and change every user's data, manage users, and read the audit log (only"
    " admins hold it)",
}
_ROLE_SCOPES = {
    Role.USER: frozenset(Scope) - {Scope.ADMIN},
    Role.ADMIN: frozenset(Scope),
}


def held_scopes(role: Role, narrowed_to: Iterable[str] | None) -> frozenset[Scope]:
    """Returns the role's scopes, limited to `narrowed_to` if that is given."""
    if narrowed_to is None:
        return _ROLE_SCOPES[role]
    return _ROLE_SCOPES[role].intersection(narrowed_to)
