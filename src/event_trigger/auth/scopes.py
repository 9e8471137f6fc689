"""Defines the scopes of credentials, and those that each role holds."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from event_trigger.errors import Forbidden
from event_trigger.models import ProjectRole, Role


class Scope(StrEnum):
    TRIGGERS_READ = "triggers:read"
    TRIGGERS_WRITE = "triggers:write"
    TRIGGERS_FIRE = "triggers:fire"
    EVENTS_READ = "events:read"
    DESTINATIONS_READ = "destinations:read"
    DESTINATIONS_WRITE = "destinations:write"
    METRICS_READ = "metrics:read"
    ADMIN = "admin"


class MissingScope(Forbidden):
    """Names the missing scopes in the text and in `WWW-Authenticate` (RFC 6750, section 3.1).

    `instead` is a sentence on another way to do it.
    """

    slug, title = "missing-scope", "A scope is missing"

    def __init__(
        self, missing: Sequence[str] = (), what: str = "This", *, instead: str = ""
    ) -> None:
        named = " ".join(missing)
        detail = f"{what} needs the scope {named}, which your credential does not hold. {instead}"
        super().__init__(
            detail.rstrip(),
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{named}"'},
        )


class LimitedKey(Forbidden):
    slug, title = "limited-key", "The key is limited to some triggers"
    default_detail = "This API key is only good for some triggers, and not for this."


SCOPE_DESCRIPTIONS = {
    Scope.TRIGGERS_READ: "read triggers, their schedules and the reconciliation of their instants",
    Scope.TRIGGERS_WRITE: "create, change and delete triggers, and see the result; with"
    " destinations:read, name destinations",
    Scope.TRIGGERS_FIRE: "fire, test, pause and resume triggers, and see the result; with"
    " events:read, repeat events and send deliveries again",
    Scope.EVENTS_READ: "read, follow and export events and their deliveries",
    Scope.DESTINATIONS_READ: "read destinations",
    Scope.DESTINATIONS_WRITE: "change destinations, and see the result; with destinations:read,"
    " read their secrets",
    Scope.METRICS_READ: "read the metrics of the whole installation (only admins hold it)",
    Scope.ADMIN: "manage users, name any project, and read the whole audit log (only admins hold"
    " it)",
}
_READING = frozenset({Scope.TRIGGERS_READ, Scope.EVENTS_READ, Scope.DESTINATIONS_READ})
_OPERATING = _READING | {Scope.TRIGGERS_FIRE}
_EDITING = _OPERATING | {Scope.TRIGGERS_WRITE, Scope.DESTINATIONS_WRITE}
_PROJECT_SCOPES = {
    ProjectRole.VIEWER: _READING,
    ProjectRole.OPERATOR: _OPERATING,
    ProjectRole.EDITOR: _EDITING,
    ProjectRole.OWNER: _EDITING,
}


def held_scopes(
    role: Role, narrowed_to: Iterable[str] | None, *, project_role: ProjectRole = ProjectRole.OWNER
) -> frozenset[Scope]:
    """Returns the scopes of a user's role in a project, limited to `narrowed_to` if it is given."""
    scopes = _PROJECT_SCOPES[project_role]
    if role is Role.ADMIN:
        scopes |= {Scope.METRICS_READ, Scope.ADMIN}
    return scopes if narrowed_to is None else scopes.intersection(narrowed_to)
