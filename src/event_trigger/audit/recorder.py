"""Who did what, when and from where: each change that a request makes to what matters, on record.

The entry is written by the transaction that makes the change, so neither is there without the
other. What matters, and which of it is secret, the models say (`audited`, `audited_secrets`).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, event, exists, func, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState, Session

from event_trigger.models import ActorKind, AuditEntry

REPLACED = "(replaced)"  # all that is said of a secret
FAILED = "sign_in"  # the operation, and the only one whose refusals name an account
OTHERS = "(others)"
MOST_FAILED = 30  # entries a minute, of all replicas together
LARGEST_VALUE = 4096  # bytes of JSON; of what is larger the log has the beginning
_ONCE_A = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever this is done by. `scope` is the request's, whose route is known only later."""

    kind: ActorKind
    command: str = ""
    user_id: int | None = None
    key_id: int | None = None
    address: str | None = None
    request_id: str | None = None
    scope: Mapping[str, Any] | None = None

    @property
    def action(self) -> str:
        route = None if self.scope is None else self.scope.get("route")
        return self.command or getattr(route, "operation_id", None) or "unknown"


_acting: ContextVar[Actor | None] = ContextVar("acting", default=None)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """For as long as the body lasts, changes are this actor's."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def identified(kind: ActorKind, *, user_id: int, key_id: int | None = None) -> None:
    """Says who the one is that acts, as soon as that is known."""
    if (actor := _acting.get()) is not None:
        _acting.set(replace(actor, kind=kind, user_id=user_id, key_id=key_id))


async def record(
    session: AsyncSession,
    target: str,
    target_id: int | None = None,
    *,
    after: Mapping[str, Any],
) -> None:
    """For what is no change of a row, such as what one statement does to many."""
    if (actor := _acting.get()) is not None:
        entry = _entry(actor, target, target_id, before={}, after=after)
        await session.execute(insert(AuditEntry).values(**entry))


_FAILED_LATELY = (
    AuditEntry.at > func.now() - _ONCE_A,
    AuditEntry.refused,
    AuditEntry.action == FAILED,
)


async def record_refused(session: AsyncSession, target: str) -> None:
    """Once a minute for somebody and an action: nobody fills the log by being refused."""
    if (actor := _acting.get()) is None:
        return
    lately = exists().where(
        AuditEntry.at > func.now() - _ONCE_A,
        AuditEntry.refused,
        AuditEntry.user_id == actor.user_id,
        AuditEntry.action == actor.action,
    )
    if not await session.scalar(select(lately)):
        entry = _entry(actor, target, None, before={}, after={})
        await session.execute(insert(AuditEntry).values(**entry | {"refused": True}))


async def record_read(session: AsyncSession, target: str, target_id: int) -> None:
    """Records that a secret was read, once a minute for each caller."""
    if (actor := _acting.get()) is None:
        return
    lately = exists().where(
        AuditEntry.target_id == target_id,
        AuditEntry.at > func.now() - _ONCE_A,
        AuditEntry.action == actor.action,
        AuditEntry.user_id == actor.user_id,
        AuditEntry.key_id.is_not_distinct_from(actor.key_id),
    )
    if not await session.scalar(select(lately)):
        entry = _entry(actor, target, target_id, before={}, after={})
        await session.execute(insert(AuditEntry).values(**entry))


async def record_failed_sign_in(session: AsyncSession, email: str, user_id: int | None) -> None:
    """Counts failures of a minute in one entry for each account and address.

    Beyond MOST_FAILED of such entries in a minute the others share one that names neither: with
    whatever names and from however many addresses somebody guesses, nobody fills the log.
    """
    if (actor := _acting.get()) is None:
        return
    if await _counted(session, AuditEntry.address == actor.address, email):
        return
    lately = select(func.count()).select_from(AuditEntry).where(*_FAILED_LATELY)
    after: dict[str, Any] = {"email": email, "failures": 1}
    if int(await session.scalar(lately) or 0) >= MOST_FAILED:
        if await _counted(session, AuditEntry.address.is_(None), OTHERS):
            return
        actor, after, user_id = replace(actor, address=None), after | {"email": OTHERS}, None
    entry = _entry(replace(actor, command=FAILED), "user", user_id, before={}, after=after)
    await session.execute(insert(AuditEntry).values(**entry | {"refused": True}))


async def _counted(session: AsyncSession, whence: ColumnElement[bool], email: str) -> bool:
    """Whether there is an entry of this minute, in which one failure more is counted now."""
    of_email = AuditEntry.after["email"].as_string() == email
    newest = select(AuditEntry).where(*_FAILED_LATELY, whence, of_email)
    newest = newest.order_by(AuditEntry.at.desc()).limit(1).with_for_update()
    entry = (await session.scalars(newest)).one_or_none()
    if entry is None:
        return False
    assert entry.after is not None
    entry.after = entry.after | {"failures": entry.after["failures"] + 1}
    await session.flush()
    return True


class AuditedSession(Session):
    """A session whose changes are recorded when somebody acts."""


@event.listens_for(AuditedSession, "after_flush")
def _record_changes(session: Session, _: object) -> None:
    actor = _acting.get()
    if actor is None:
        return
    entries = [
        *(_added(actor, one) for one in session.new if _is_audited(one)),
        *(_changed(actor, one) for one in session.dirty if _is_audited(one)),
        *(_deleted(actor, one) for one in session.deleted if _is_audited(one)),
    ]
    if found := [one for one in entries if one is not None]:
        session.execute(insert(AuditEntry), found)


def _is_audited(row: Any) -> bool:
    return hasattr(row, "audited")


def _added(actor: Actor, row: Any) -> dict[str, Any]:
    after = {name: getattr(row, name) for name in row.audited if getattr(row, name) is not None}
    return _entry(actor, row.audited_as, _id_of(row), before={}, after=after)


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
    return _entry(actor, row.audited_as, _id_of(row), before=before, after=after)


def _deleted(actor: Actor, row: Any) -> dict[str, Any]:
    before = {name: getattr(row, name) for name in row.audited if getattr(row, name) is not None}
    return _entry(actor, row.audited_as, _id_of(row), before=before, after={})


def _id_of(row: Any) -> int | None:
    return row.id if isinstance(row.id, int) else None


def _entry(
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
        "address": actor.address,
        "request_id": actor.request_id,
        "action": actor.action,
        "target": target,
        "target_id": target_id,
        "refused": False,
        "before": {name: _plain(value) for name, value in before.items()} or None,
        "after": {name: _plain(value) for name, value in after.items()} or None,
    }


def _plain(value: Any) -> Any:
    plain = value.isoformat() if isinstance(value, datetime) else value
    written = json.dumps(plain)
    if len(written) <= LARGEST_VALUE:
        return plain
    beginning = plain if isinstance(plain, str) else written
    return _cut(beginning, f"... (cut: {len(written)} bytes of JSON)")


def _cut(text: str, marker: str) -> str:
    """The beginning of a text, and a marker, so that both are no larger than a value may be.

    A character is written as six bytes at most, or as twelve if it takes two of `\\uXXXX`.
    """
    text = text[:LARGEST_VALUE]
    while (excess := len(json.dumps(text + marker)) - LARGEST_VALUE) > 0:
        text = text[: -max(1, excess // 12)]
    return text + marker
