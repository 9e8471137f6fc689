"""Stores the answers of calls with an `Idempotency-Key`, to give them to repeated calls."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.citus.few_rows import FewRows
from event_trigger.db.engine import Sessions
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId, ShardedStatement
from event_trigger.db.transactions import BATCH_ROWS, in_batches
from event_trigger.idempotency.repository import ANSWERS_KEPT_FOR

_TRY_LOCKS = text("""
    SELECT pg_try_advisory_xact_lock(wanted.lock)
    FROM unnest(CAST(:locks AS bigint[])) WITH ORDINALITY AS wanted (lock, place)
    ORDER BY wanted.place
""")
_LIST_ANSWERS = """
    SELECT known.trigger_id, known.is_test, known.key, known.body_hash, known.event_id
    FROM unnest(
        CAST(:shards AS smallint[]), CAST(:trigger_ids AS bigint[]),
        CAST(:are_tests AS boolean[]), CAST(:keys AS text[])
    ) AS asked (shard, trigger_id, is_test, key)
    JOIN idempotency_keys AS known ON known.shard = {shard}
        AND known.trigger_id = asked.trigger_id AND known.is_test = asked.is_test
        AND known.key = asked.key
    WHERE known.created_at > now() - CAST(:kept_for AS interval)
"""
_REPLACING = """
    ON CONFLICT (shard, trigger_id, is_test, key) DO UPDATE SET
        body_hash = excluded.body_hash, event_id = excluded.event_id,
        created_at = excluded.created_at
"""
_ADD_ANSWERS = """
    INSERT INTO idempotency_keys (shard, trigger_id, is_test, key, body_hash, event_id)
    SELECT {shard}, answered.trigger_id, answered.is_test, answered.key, answered.body_hash,
        answered.event_id
    FROM unnest(
        CAST(:shards AS smallint[]), CAST(:trigger_ids AS bigint[]),
        CAST(:are_tests AS boolean[]), CAST(:keys AS text[]), CAST(:body_hashes AS bytea[]),
        CAST(:event_ids AS bigint[])
    ) AS answered (shard, trigger_id, is_test, key, body_hash, event_id)
    {replacing}
"""
_LIST, _ADD = (
    ShardedStatement(
        *(text(statement.format(shard=shard, replacing=_REPLACING)) for shard in (one, several))
    )
    for statement, one, several in (
        (_LIST_ANSWERS, ":shard", "asked.shard"),
        (_ADD_ANSWERS, "CAST(:shard AS smallint)", "answered.shard"),
    )
)
_ADD_FEW = FewRows(
    "INSERT INTO idempotency_keys (shard, trigger_id, is_test, key, body_hash, event_id)",
    """(
    CAST(:shard AS smallint), (CAST(:trigger_ids AS bigint[]))[{place}],
    (CAST(:are_tests AS boolean[]))[{place}], (CAST(:keys AS text[]))[{place}],
    (CAST(:body_hashes AS bytea[]))[{place}], (CAST(:event_ids AS bigint[]))[{place}])""",
    _REPLACING,
)
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

    trigger: OwnedId
    is_test: bool
    text: str

    @property
    def lock(self) -> int:
        """The number of the advisory lock that its calls take."""
        owner_id, trigger_id = self.trigger.owner_id, self.trigger.id
        name = f"{owner_id}/{trigger_id}/{self.is_test}/{self.text}".encode()
        return int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The event that a call with a key made, and the SHA-256 of the call's body."""

    body_hash: bytes
    event_id: int


@dataclass(frozen=True)
class IdempotencyKeys:
    """Keys of calls, with the answers that they were given; in a cluster, all are of one shard."""

    session: ReadSession

    async def try_locks(self, locks: Sequence[int]) -> list[bool]:
        """Takes advisory locks for this transaction; gives False for each that another call has."""
        if not locks:
            return []
        rows = await self.session.execute(_TRY_LOCKS, {"locks": locks})
        return [is_free for (is_free,) in rows]

    async def list_known(self, keys: Sequence[CallKey]) -> dict[CallKey, StoredAnswer]:
        """Returns the answers of the last 48 hours to calls with these keys."""
        if not keys:
            return {}
        statement, shards = _LIST.on([key.trigger.shard for key in keys])
        rows = await self.session.execute(
            statement, {**shards, **_columns(keys), "kept_for": ANSWERS_KEPT_FOR}
        )
        stored = {(row.trigger_id, row.is_test, row.key): row for row in rows}
        found = ((key, stored.get((key.trigger.id, key.is_test, key.text))) for key in keys)
        return {key: StoredAnswer(row.body_hash, row.event_id) for key, row in found if row}

    async def add(self, answered: Mapping[CallKey, StoredAnswer]) -> None:
        """Stores answers, replacing those that are older than 48 hours."""
        if not answered:
            return
        statement, shards = _ADD.on([key.trigger.shard for key in answered])
        few = _ADD_FEW.of(len(answered)) if await is_in_cluster(self.session) else None
        await self.session.execute(
            statement if few is None else few,
            {
                **shards,
                **_columns([*answered]),
                "body_hashes": [known.body_hash for known in answered.values()],
                "event_ids": [known.event_id for known in answered.values()],
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
        "trigger_ids": [key.trigger.id for key in keys],
        "are_tests": [key.is_test for key in keys],
        "keys": [key.text for key in keys],
    }
