"""Compares the rights of an API key before and after a change, and checks new ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.repository.api_keys import ApiKeys
from event_trigger.auth.schemas import ApiKeyUpdate
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Invalid
from event_trigger.models import ApiKey


@dataclass(frozen=True, slots=True)
class KeyRights:
    """The scopes of a key, the triggers it works for, and its end; None is no limit."""

    scopes: Sequence[str]
    trigger_ids: Sequence[int] | None
    expires_at: datetime | None

    def exceed(self, others: "KeyRights") -> bool:
        """Tells whether they allow anything that the others do not."""
        return (
            not set(self.scopes) <= set(others.scopes)
            or _exceed(self.trigger_ids, others.trigger_ids)
            or _is_later(self.expires_at, others.expires_at)
        )


def rights_of(key: ApiKey) -> KeyRights:
    return KeyRights(key.scopes, key.trigger_ids, key.expires_at)


def patched(rights: KeyRights, body: ApiKeyUpdate) -> KeyRights:
    """Returns the rights after a JSON Merge Patch (RFC 7396): absent fields stay."""
    given = body.model_fields_set
    return KeyRights(
        [str(one) for one in body.scopes] if "scopes" in given else rights.scopes,
        body.trigger_ids if "trigger_ids" in given else rights.trigger_ids,
        body.expires_at if "expires_at" in given else rights.expires_at,
    )


def _exceed(ids: Sequence[int] | None, others: Sequence[int] | None) -> bool:
    if others is None:
        return False
    return ids is None or not set(ids) <= set(others)


def _is_later(end: datetime | None, other: datetime | None) -> bool:
    if other is None:
        return False
    return end is None or end > other


async def check_triggers(
    session: AsyncSession,
    project_id: int,
    wanted: Sequence[int],
    *,
    known: Sequence[int] | None = None,
) -> None:
    """Refuses to limit a key to triggers that are not in its project, unless it has them already.

    These may have been deleted since.
    """
    before = set(known or ())
    places = {place: one for place, one in enumerate(wanted) if one not in before}
    if not places:
        return
    found = await ApiKeys(session).list_known_triggers(project_id, set(places.values()))
    for place, one in places.items():
        if one not in found:
            raise Invalid.at(["trigger_ids", place], "There is no such trigger in this project.")


def check_consistent(rights: KeyRights, now: datetime) -> None:
    if rights.trigger_ids is not None:
        for one in (Scope.ADMIN, Scope.METRICS_READ):
            if one in rights.scopes:
                raise Invalid.at(
                    ["scopes"], f"A key for some triggers cannot hold the scope {one}."
                )
    if rights.expires_at is not None and rights.expires_at <= now:
        raise Invalid.at(
            ["expires_at"], "A key must expire in the future. To end it now, delete it."
        )
