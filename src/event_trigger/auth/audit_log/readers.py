"""Decides which part of the audit log a caller may read."""

from typing import NamedTuple, Self

from event_trigger.auth.principal import Principal
from event_trigger.auth.project_header import WantedProject
from event_trigger.auth.scopes import MissingScope, Scope
from event_trigger.errors import Forbidden
from event_trigger.models import ProjectRole

_INSTEAD = "Owners of the project read its part with a login that was not narrowed to scopes."


class NotAnOwner(Forbidden):
    slug, title = "for-owners-only", "Only owners read this"

    def __init__(self, role: ProjectRole) -> None:
        super().__init__(
            f"Only the project's owners read its audit log, and you are its {role}. Ask an owner,"
            " or name your own project in X-Project-ID."
        )

    @classmethod
    def example(cls) -> Self:
        return cls(ProjectRole.VIEWER)


class Readable(NamedTuple):
    """The part of the log that a caller may read: of one project, or of all (None).

    `hides_outsiders` means without the addresses of those who are no members of the project.
    """

    project_id: int | None
    hides_outsiders: bool


def readable_part(principal: Principal, named: WantedProject) -> Readable:
    """Returns all of the log for admins, or the part of the project that they name.

    Owners read the part of the project that the call happens in. Raises MissingScope for keys and
    narrowed logins, and NotAnOwner for other members.
    """
    if Scope.ADMIN in principal.scopes:
        return Readable(named if isinstance(named, int) else None, hides_outsiders=False)
    if principal.is_narrowed:
        raise MissingScope([Scope.ADMIN], "The audit log", instead=_INSTEAD)
    if principal.project_role is not ProjectRole.OWNER:
        raise NotAnOwner(principal.project_role)
    return Readable(principal.one_project_id, hides_outsiders=True)
