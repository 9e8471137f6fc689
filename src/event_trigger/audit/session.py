"""Records each change of audited rows with its actor, time and address.

The entry is written in the transaction of the change, so neither exists without the other. The
models list the recorded columns (`audited`) and those whose values stay out (`audited_secrets`).
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import event, insert, inspect
from sqlalchemy.orm import InstanceState, Session

from event_trigger.audit.actor import Actor, current_actor
from event_trigger.audit.entries import entry_of
from event_trigger.models import ApiKey, AuditEntry, Project

REPLACED = "(replaced)"  # recorded instead of a secret's value


class AuditedSession(Session):
    """A session that records changes of audited rows while an actor is set."""


@event.listens_for(AuditedSession, "after_flush")
def _record_changes(session: Session, _: object) -> None:
    actor = current_actor()
    if actor is None:
        return
    entries = [
        *(_added(actor, one) for one in session.new if _is_audited(one)),
        *(_changed(actor, one) for one in session.dirty if _is_audited(one)),
        *(_deleted(actor, one) for one in session.deleted if _is_audited(one)),
    ]
    if changes := [one for one in entries if one is not None]:
        session.execute(insert(AuditEntry), changes)


def _is_audited(row: Any) -> bool:
    return hasattr(row, "audited")


def _added(actor: Actor, row: Any) -> dict[str, Any]:
    after = {name: getattr(row, name) for name in row.audited if getattr(row, name) is not None}
    return _row_entry(actor, row, before={}, after=after)


def _changed(actor: Actor, row: Any) -> dict[str, Any] | None:
    state: InstanceState[Any] = inspect(row)
    before, after = {}, {}
    for name in row.audited:
        history = state.attrs[name].history
        if history.has_changes():
            before[name] = history.deleted[0] if history.deleted else None
            after[name] = getattr(row, name)
    for name in row.audited_secrets:
        if state.attrs[name].history.has_changes():
            after[name] = REPLACED
    if not after:
        return None
    return _row_entry(actor, row, before=before, after=after)


def _deleted(actor: Actor, row: Any) -> dict[str, Any]:
    before = {name: getattr(row, name) for name in row.audited if getattr(row, name) is not None}
    return _row_entry(actor, row, before=before, after={})


def _row_entry(
    actor: Actor, row: Any, *, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    entry = entry_of(actor, row.audited_as, _id_of(row), before=before, after=after)
    return entry | {"project_id": _project_of(row)}


def _id_of(row: Any) -> int | None:
    return row.id if isinstance(row.id, int) else None


def _project_of(row: Any) -> int | None:
    """Returns the project that a row belongs to; users and logins belong to none."""
    if isinstance(row, Project):
        return row.id
    if isinstance(row, ApiKey):
        return row.project_id or row.user_id
    project_id: int | None = getattr(row, "owner_id", None) or getattr(row, "project_id", None)
    return project_id
