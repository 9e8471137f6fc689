"""Records failed sign-ins, so few of them that a guesser cannot fill the log."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.actor import current_actor
from event_trigger.audit.recorder import entry_of
from event_trigger.models import AuditEntry

SIGN_IN_ACTION = "sign_in"  # the action of entries for failed sign-ins
OTHER_ACCOUNTS = "(others)"
MAX_FAILED_PER_MINUTE = 30  # entries for failed sign-ins, of all replicas together
_MINUTE = timedelta(minutes=1)
_RECENT_FAILED_SIGN_INS = (
    AuditEntry.at > func.now() - _MINUTE,
    AuditEntry.refused,
    AuditEntry.action == SIGN_IN_ACTION,
)


async def record_failed_sign_in(session: AsyncSession, email: str, user_id: int | None) -> None:
    """Counts failures in one entry for each account, address and minute.

    After MAX_FAILED_PER_MINUTE entries in a minute, all other failures share one entry without
    account and address, so that a guesser with many names and addresses cannot fill the log.
    """
    if (actor := current_actor()) is None:
        return
    if await _count_in_entry(session, AuditEntry.address == actor.address, email):
        return
    recent = select(func.count()).select_from(AuditEntry).where(*_RECENT_FAILED_SIGN_INS)
    after: dict[str, Any] = {"email": email, "failures": 1}
    if int(await session.scalar(recent) or 0) >= MAX_FAILED_PER_MINUTE:
        if await _count_in_entry(session, AuditEntry.address.is_(None), OTHER_ACCOUNTS):
            return
        actor, after, user_id = (
            replace(actor, address=None),
            after | {"email": OTHER_ACCOUNTS},
            None,
        )
    entry = entry_of(
        replace(actor, command=SIGN_IN_ACTION), "user", user_id, before={}, after=after
    )
    await session.execute(insert(AuditEntry).values(**entry | {"refused": True}))


async def _count_in_entry(
    session: AsyncSession, has_address: ColumnElement[bool], email: str
) -> bool:
    """Adds one failure to the entry of the last minute; returns False if there is none."""
    has_email = AuditEntry.after["email"].as_string() == email
    newest = select(AuditEntry).where(*_RECENT_FAILED_SIGN_INS, has_address, has_email)
    newest = newest.order_by(AuditEntry.at.desc()).limit(1).with_for_update()
    entry = (await session.scalars(newest)).one_or_none()
    if entry is None:
        return False
    assert entry.after is not None
    entry.after = entry.after | {"failures": entry.after["failures"] + 1}
    await session.flush()
    return True
