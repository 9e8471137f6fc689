"""Records changes of audited rows and other actions, with the actor, the time and the address.

An entry is written in the transaction of its change, so neither exists without the other. The
models list the recorded columns (`audited`) and those whose values stay out (`audited_secrets`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event, exists, func, insert, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState, Session

from event_trigger.audit.actor import Actor, current_actor
from event_trigger.models import ApiKey, AuditEntry, Project

LARGEST_VALUE_BYTES = 4096  # of JSON; a larger value is cut
REPLACED = "(replaced)"  # recorded instead of a secret's value
_MINUTE = timedelta(minutes=1)
_ENTRIES_PER_STATEMENT = 500
_RECORD_ALL = text("""
    INSERT INTO audit_entries (actor, user_id, project_id, key_id, address, request_id, action,
        target, target_id, refused, before, after)
    SELECT :actor, CAST(:user_id AS bigint), CAST(:project_id AS bigint), CAST(:key_id AS bigint),
        :address, :request_id, :action, :target, changed.id, false,
        CAST(changed.before AS json), CAST(changed.after AS json)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:befores AS text[]), CAST(:afters AS text[]))
        AS changed (id, before, after)
""")


def entry_of(
    actor: Actor,
    target: str,
    target_id: int | None,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "actor": actor.kind,
        "user_id": actor.user_id,
        "key_id": actor.key_id,
        "project_id": None,
        "address": actor.address,
        "request_id": actor.request_id,
        "action": actor.action,
        "target": target,
        "target_id": target_id,
        "refused": False,
        "before": {name: json_value(value) for name, value in before.items()} or None,
        "after": {name: json_value(value) for name, value in after.items()} or None,
    }


def json_value(value: Any) -> Any:
    """Returns the value for a column of JSON, cut to LARGEST_VALUE_BYTES."""
    value = value.isoformat() if isinstance(value, datetime) else value
    encoded = json.dumps(value)
    if len(encoded) <= LARGEST_VALUE_BYTES:
        return value
    return _cut(
        value if isinstance(value, str) else encoded, f"... (cut: {len(encoded)} bytes of JSON)"
    )


def _cut(text: str, marker: str) -> str:
    """Cuts the text so that it and the marker take at most LARGEST_VALUE_BYTES as JSON.

    A character takes up to six bytes there, or twelve if it needs two `\\uXXXX`.
    """
    text = text[:LARGEST_VALUE_BYTES]
    while (excess := len(json.dumps(text + marker)) - LARGEST_VALUE_BYTES) > 0:
        text = text[: -max(1, excess // 12)]
    return text + marker


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


async def record(
    session: AsyncSession,
    target: str,
    target_id: int | None = None,
    *,
    after: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
    project_id: int | None = None,
) -> None:
    """Records an action that is not the change of one row, such as an update of many rows.

    The owners of the project `project_id` may read it; without one, only admins may.
    """
    if (actor := current_actor()) is not None:
        entry = entry_of(actor, target, target_id, before=before or {}, after=after)
        entry |= {"project_id": project_id}
        await session.execute(insert(AuditEntry).values(**entry))


@dataclass(frozen=True, slots=True)
class RowChange:
    """The change of one row by a statement that changes many."""

    target_id: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]


async def record_all(
    session: AsyncSession, target: str, changes: Sequence[RowChange], *, project_id: int
) -> None:
    """Records changes of many rows, with an entry for each as for single ones."""
    if (actor := current_actor()) is None:
        return
    entry = entry_of(actor, target, None, before={}, after={}) | {"project_id": project_id}
    for name in ("before", "after", "target_id", "refused"):
        del entry[name]
    for start in range(0, len(changes), _ENTRIES_PER_STATEMENT):
        group = changes[start : start + _ENTRIES_PER_STATEMENT]
        lists = {
            "ids": [one.target_id for one in group],
            "befores": [_json_text(one.before) for one in group],
            "afters": [_json_text(one.after) for one in group],
        }
        await session.execute(_RECORD_ALL, entry | lists)


def _json_text(values: Mapping[str, Any]) -> str | None:
    return json.dumps({name: json_value(one) for name, one in values.items()}) if values else None


async def record_refused(
    session: AsyncSession, target: str, *, project_id: int | None = None
) -> None:
    """Records a refusal once a minute for each user, action and project.

    So nobody can fill the log. Only admins read entries without a project.
    """
    if (actor := current_actor()) is None:
        return
    recent = exists().where(
        AuditEntry.at > func.now() - _MINUTE,
        AuditEntry.refused,
        AuditEntry.user_id == actor.user_id,
        AuditEntry.action == actor.action,
        AuditEntry.project_id.is_not_distinct_from(project_id),
    )
    if not await session.scalar(select(recent)):
        entry = entry_of(actor, target, None, before={}, after={}) | {"project_id": project_id}
        await session.execute(insert(AuditEntry).values(**entry | {"refused": True}))


async def record_read(
    session: AsyncSession, target: str, target_id: int, *, project_id: int
) -> None:
    """Records that a secret was read, once a minute for each caller."""
    if (actor := current_actor()) is None:
        return
    recent = exists().where(
        AuditEntry.target_id == target_id,
        AuditEntry.at > func.now() - _MINUTE,
        AuditEntry.action == actor.action,
        AuditEntry.user_id == actor.user_id,
        AuditEntry.key_id.is_not_distinct_from(actor.key_id),
    )
    if not await session.scalar(select(recent)):
        entry = entry_of(actor, target, target_id, before={}, after={}) | {"project_id": project_id}
        await session.execute(insert(AuditEntry).values(**entry))
