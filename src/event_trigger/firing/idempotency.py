"""Stores the answers of calls with an `Idempotency-Key`, to give them to repeated calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.batches import BATCH_ROWS, in_batches
from event_trigger.db.engine import Sessions
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.idempotency.repository import ANSWERS_KEPT_FOR

_TRY_LOCKS = text("""
    SELECT pg_try_advisory_xact_lock(wanted.lock)
    FROM unnest(CAST(:locks AS bigint[])) WITH ORDINALITY AS wanted (lock, place)
    ORDER BY wanted.place
""")
_LIST_ANSWERS = text("""
    SELECT known.trigger_id, known.is_test, known.key, known.body_hash, known.event_id
    FROM unnest(
        CAST(:trigger_ids AS bigint[]), CAST(:are_tests AS boolean[]), CAST(:keys AS text[])
    ) AS asked (trigger_id, is_test, key)
    JOIN idempotency_keys AS known ON known.shard = :shard
        AND known.trigger_id = asked.trigger_id AND known.is_test = asked.is_test
        AND known.key = asked.key
    WHERE known.created_at > now() - CAST(:kept_for AS interval)
""")
_ADD_ANSWERS = text("""
    INSERT INTO idempotency_keys (shard, trigger_id, is_test, key, body_hash, event_id)
    SELECT CAST(:shard AS smallint), answered.*
    FROM unnest(
        CAST(:trigger_ids AS bigint[]), CAST(:are_tests AS boolean[]), CAST(:keys AS text[]),
        CAST(:body_hashes AS bytea[]), CAST(:event_ids AS bigint[])
    ) AS answered
    ON CONFLICT (shard, trigger_id, is_test, key) DO UPDATE SET
        body_hash = excluded.body_hash, event_id = excluded.event_id,
        created_at = excluded.created_at
""")
_PURGE_ANSWERS = text("""
    WITH purged AS (
        DELETE FROM idempotency_keys WHERE (shard, trigger_id, is_test, key) IN (
            SELECT shard, trigger_id, is_test, key FROM idempotency_keys
            WHERE created_at < :before ORDER BY created_at LIMIT :limit
        )
        RETURNING shard
    )
    SELECT count(*) FROM purged
""")


@dataclass(frozen=True, slots=True)
class CallKey:
    """An Idempotency-Key, which counts for one trigger, and for tests apart from real calls."""

    trigger_id: int
    is_test: bool
    text: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The event that a call with a key made, and the SHA-256 of the call's body."""

    body_hash: bytes
    event_id: int


@dataclass(frozen=True)
class IdempotencyKeys:
    """The keys of one shard, with the answers that they were given."""

    session: AsyncSession
    shard: int

    async def try_locks(self, locks: Sequence[int]) -> list[bool]:
        """Takes advisory locks for this transaction; gives False for each that another call has."""
        if not locks:
            return []
        rows = await self.session.execute(_TRY_LOCKS, {"locks": locks})
        return list(rows.scalars())

    async def list_known(self, keys: Sequence[CallKey]) -> dict[CallKey, StoredAnswer]:
        """Returns the answers of the last 48 hours to calls with these keys."""
        if not keys:
            return {}
        rows = await self.session.execute(
            _LIST_ANSWERS, {"shard": self.shard, "kept_for": ANSWERS_KEPT_FOR, **_columns(keys)}
        )
        return {
            CallKey(trigger_id, is_test, key): StoredAnswer(body_hash, event_id)
            for trigger_id, is_test, key, body_hash, event_id in rows
        }

    async def add(self, answered: Mapping[CallKey, StoredAnswer]) -> None:
        """Stores answers, replacing those that are older than 48 hours."""
        if not answered:
            return
        await self.session.execute(
            _ADD_ANSWERS,
            {
                "shard": self.shard,
                "body_hashes": [known.body_hash for known in answered.values()],
                "event_ids": [known.event_id for known in answered.values()],
                **_columns([*answered]),
            },
        )


async def purge_answers(sessions: Sessions, before: datetime) -> None:
    """Deletes the answers that are older than `before`, oldest first, in short transactions."""

    async def purge(session: AsyncSession) -> int:
        values, options = {"before": before, "limit": BATCH_ROWS}, {ACROSS_SHARDS: "retention"}
        return await session.scalar(_PURGE_ANSWERS, values, execution_options=options) or 0

    await in_batches(sessions, purge)


def _columns(keys: Sequence[CallKey]) -> dict[str, list[object]]:
    return {
        "trigger_ids": [key.trigger_id for key in keys],
        "are_tests": [key.is_test for key in keys],
        "keys": [key.text for key in keys],
    }
