"""Stores the answers of calls with an `Idempotency-Key`, finds them, and deletes them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Text, bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.db.transactions import BATCH_ROWS, in_batches
from event_trigger.models import KeptAnswer, shard_of

ANSWERS_KEPT_FOR = timedelta(hours=48)
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_PURGE = text("""
    WITH purged AS (
        DELETE FROM kept_answers WHERE (shard, owner_id, call) IN (
            SELECT shard, owner_id, call FROM kept_answers
            WHERE created_at < :before ORDER BY created_at LIMIT :limit
        )
        RETURNING shard
    )
    SELECT count(*) FROM purged
""")
_DELETE_WITH_EMAIL = text("DELETE FROM kept_answers WHERE email = ANY (:emails)").bindparams(
    bindparam("emails", type_=ARRAY(Text))
)
_EXPIRES = KeptAnswer.created_at <= func.now() - ANSWERS_KEPT_FOR


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """A call with an `Idempotency-Key`.

    `digest` is the SHA-256 of the caller, the operation and the key. `fingerprints` are keyed
    hashes of what was sent, the first one under the current key. `scopes` and `trigger_ids` are the
    caller's rights; None is all triggers.
    """

    owner_id: int
    digest: bytes
    fingerprints: Sequence[bytes]
    scopes: frozenset[str] = frozenset()
    trigger_ids: frozenset[int] | None = None

    @property
    def lock(self) -> int:
        """The advisory lock of calls with this key."""
        return int.from_bytes(self.digest[:8], signed=True)


class Kept(NamedTuple):
    """The answer to the first call; `is_expired` after 48 hours, until it is purged."""

    body_hash: bytes
    status: int
    headers: Mapping[str, str]
    body: str
    scopes: Sequence[str]
    trigger_ids: Sequence[int] | None
    is_expired: bool


def try_lock(connection: Connection, call: KeyedCall) -> bool:
    """Takes the call's lock until the end of the transaction; False if another call has it."""
    return bool(connection.scalar(_TRY_LOCK, {"lock": call.lock}))


def find(connection: Connection, call: KeyedCall) -> Kept | None:
    statement = select(
        KeptAnswer.body_hash,
        KeptAnswer.status,
        KeptAnswer.headers,
        KeptAnswer.body,
        KeptAnswer.scopes,
        KeptAnswer.trigger_ids,
        _EXPIRES,
    ).where(*_of(call))
    row = connection.execute(statement).one_or_none()
    return None if row is None else Kept._make(row)


def delete_expired(connection: Connection, call: KeyedCall) -> None:
    connection.execute(delete(KeptAnswer).where(*_of(call), _EXPIRES))


async def add(
    session: AsyncSession,
    call: KeyedCall,
    *,
    status: int,
    headers: Mapping[str, str],
    body: str,
    email: str | None,
) -> bool:
    """Stores an answer; False if another call with the key has stored one."""
    row = insert(KeptAnswer).values(
        shard=shard_of(call.owner_id),
        owner_id=call.owner_id,
        call=call.digest,
        body_hash=call.fingerprints[0],
        status=status,
        headers=dict(headers),
        body=body,
        scopes=sorted(call.scopes),
        trigger_ids=None if call.trigger_ids is None else sorted(call.trigger_ids),
        email=email,
    )
    added = await session.scalar(row.on_conflict_do_nothing().returning(KeptAnswer.status))
    return added is not None


async def delete_with_emails(session: AsyncSession, emails: Collection[str]) -> None:
    """Deletes the answers that hold one of these addresses, which are in lower case."""
    options = {ACROSS_SHARDS: "erasure"}
    await session.execute(_DELETE_WITH_EMAIL, {"emails": [*emails]}, execution_options=options)


async def purge_kept_answers(sessions: Sessions, before: datetime) -> None:
    """Deletes the answers that are older than `before`, oldest first, in short transactions."""

    async def purge(session: AsyncSession) -> int:
        values: dict[str, Any] = {"before": before, "limit": BATCH_ROWS}
        options = {ACROSS_SHARDS: "retention"}
        return await session.scalar(_PURGE, values, execution_options=options) or 0

    await in_batches(sessions, purge)


def _of(call: KeyedCall) -> list[ColumnElement[bool]]:
    return [
        KeptAnswer.shard == shard_of(call.owner_id),
        KeptAnswer.owner_id == call.owner_id,
        KeptAnswer.call == call.digest,
    ]
