"""Records actions that are not the change of one row: changes of many, refusals and reads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import exists, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.actor import current_actor
from event_trigger.audit.entries import entry_of, json_value
from event_trigger.models import AuditEntry

_MINUTE = timedelta(minutes=1)
_ENTRIES_PER_STATEMENT = 500


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


_RECORD_ALL = text("""
    INSERT INTO audit_entries (actor, user_id, project_id, key_id, address, request_id, action,
        target, target_id, refused, before, after)
    SELECT :actor, CAST(:user_id AS bigint), CAST(:project_id AS bigint), CAST(:key_id AS bigint),
        :address, :request_id, :action, :target, changed.id, false,
        CAST(changed.before AS json), CAST(changed.after AS json)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:befores AS text[]), CAST(:afters AS text[]))
        AS changed (id, before, after)
""")


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
