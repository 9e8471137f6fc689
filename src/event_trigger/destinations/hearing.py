"""Checks who lets a destination hear of changes, and of those of other projects."""

from collections.abc import Mapping
from typing import Any

from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import MissingScope, Scope
from event_trigger.errors import Invalid


def admin_id_of(principal: Principal) -> int | None:
    """Returns the id of a caller who is an admin, and may let destinations hear of all projects."""
    return principal.user_id if Scope.ADMIN in principal.scopes else None


def check_hearing(columns: Mapping[str, Any], admin_id: int | None) -> None:
    """Raises MissingScope if a caller who is no admin stores what hears of all projects.

    That is so for any change of such a destination: with another URL, it would send them there.
    Raises Invalid for one that hears of nothing.
    """
    if not columns["all_projects"]:
        return
    if admin_id is None:
        raise MissingScope([Scope.ADMIN], "A destination with all_projects")
    if not columns["notices"]:
        raise Invalid.at(
            ["all_projects"],
            "This is for notices: name some in `notices`, or leave this out, or set it to false in"
            " a PATCH.",
        )
