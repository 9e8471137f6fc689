"""Locks the destinations of deliveries, and saves their breakers and buckets."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text

from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId, ShardedStatement
from event_trigger.destinations.circuit_breaker import CircuitBreaker, free_slots
from event_trigger.destinations.formats import RequestForm, stored_form
from event_trigger.destinations.token_bucket import TokenBucket
from event_trigger.models import DisabledReason, shard_of

_LOCK_DESTINATIONS = """
    SELECT id, owner_id, url, format, method, template, content_type, subject, timeout, rate_limit,
        abs(max_concurrency), sealed, key_id, client_certificate IS NOT NULL, deleted_at,
        disabled_reason IS NOT NULL, failures, "window", probe_at, held_until,
        tokens, tokens_at, clock_timestamp()
    FROM destinations WHERE {wanted}
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
"""
# now() is written where an index must serve, which clock_timestamp() cannot
_COUNT_LEASES = """
    SELECT id, leases.in_flight, leases.expired
    FROM destinations CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE leased_until > now()) AS in_flight,
            count(*) FILTER (WHERE leased_until <= now()) AS expired
        FROM deliveries
        WHERE deliveries.shard = {shard} AND deliveries.destination_id = destinations.id
            AND leased_until IS NOT NULL
    ) AS leases
    WHERE {wanted}
"""
_IN_SHARD = "shard = :shard AND id = ANY (CAST(:ids AS bigint[]))"
_IN_SHARDS = """(shard, id) IN (
        SELECT * FROM unnest(CAST(:shards AS smallint[]), CAST(:ids AS bigint[])))"""
_IS_ENABLED = " AND disabled_reason IS NULL"
_LOCK_FREE = text(_LOCK_DESTINATIONS.format(wanted=_IN_SHARD))
_LOCK_ENABLED = ShardedStatement(
    text(_LOCK_DESTINATIONS.format(wanted=_IN_SHARD + _IS_ENABLED)),
    text(_LOCK_DESTINATIONS.format(wanted=_IN_SHARDS + _IS_ENABLED)),
)
_COUNT_LEASES_OF = ShardedStatement(
    text(_COUNT_LEASES.format(shard=":shard", wanted=_IN_SHARD)),
    text(_COUNT_LEASES.format(shard="destinations.shard", wanted=_IN_SHARDS)),
)
_LIST_EXISTING = text(
    "SELECT id FROM destinations WHERE shard = :shard AND id = ANY (CAST(:ids AS bigint[]))"
)
_UNHEALTHY = """
    SELECT id FROM destinations WHERE {wanted} AND (failures > 0 OR "window" IS NOT NULL)
"""
_LIST_UNHEALTHY = ShardedStatement(
    text(_UNHEALTHY.format(wanted=_IN_SHARD)), text(_UNHEALTHY.format(wanted=_IN_SHARDS))
)
_SAVE_BREAKERS = text("""
    UPDATE destinations SET failures = saved.failures, "window" = saved.window,
        probe_at = saved.probe_at, held_until = saved.held_until,
        disabled_reason = coalesce(destinations.disabled_reason, saved.disabled_reason)
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:failures AS bigint[]), CAST(:windows AS bigint[]),
        CAST(:probe_ats AS timestamptz[]), CAST(:held_untils AS timestamptz[]),
        CAST(:disabled_reasons AS text[])
    ) AS saved (id, failures, "window", probe_at, held_until, disabled_reason)
    WHERE destinations.shard = :shard AND destinations.id = saved.id
""")
_SAVE_BUCKETS = text("""
    UPDATE destinations SET tokens = saved.tokens, tokens_at = saved.tokens_at
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:tokens AS float8[]), CAST(:tokens_ats AS timestamptz[])
    ) AS saved (id, tokens, tokens_at)
    WHERE destinations.shard = :shard AND destinations.id = saved.id
""")
_RETURN_TOKENS = text("""
    WITH returned AS (
        SELECT destinations.id, given.tokens
        FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS float8[])) AS given (id, tokens)
        JOIN destinations ON destinations.shard = :shard AND destinations.id = given.id
        WHERE rate_limit IS NOT NULL
        ORDER BY destinations.id FOR NO KEY UPDATE OF destinations
    )
    UPDATE destinations SET tokens = destinations.tokens + returned.tokens
    FROM returned WHERE destinations.shard = :shard AND destinations.id = returned.id
""")


class LockedDestination(NamedTuple):
    """A destination whose row is locked until the end of the transaction.

    `now` is the database's clock. `in_flight` counts its valid leases, `expired_leases` those of
    processes that died, where they are counted.
    """

    id: int
    owner_id: int
    url: str
    format: str
    method: str
    template: str | None
    content_type: str | None
    subject: str | None
    timeout: float
    rate_limit: float | None
    max_concurrency: int
    sealed: bytes
    key_id: str
    has_certificate: bool
    deleted_at: datetime | None
    is_disabled: bool
    failures: int
    window: int | None
    probe_at: datetime | None
    held_until: datetime | None
    tokens: float
    tokens_at: datetime | None
    now: datetime
    in_flight: int = 0
    expired_leases: int = 0

    @property
    def shard(self) -> int:
        return shard_of(self.owner_id)

    @property
    def is_stale(self) -> bool:
        """Whether some of its deliveries are to be given up, or their leases recovered."""
        return self.deleted_at is not None or self.expired_leases > 0

    @property
    def form(self) -> RequestForm:
        return stored_form(
            self.url, self.format, self.method, self.template, self.content_type, self.subject
        )

    @property
    def breaker(self) -> CircuitBreaker:
        return CircuitBreaker(self.failures, self.window, self.probe_at)

    @property
    def bucket(self) -> TokenBucket | None:
        """The bucket of its rate limit, refilled as of `now`; None without a rate limit."""
        if self.rate_limit is None:
            return None
        return TokenBucket(self.rate_limit, self.tokens, self.tokens_at).refilled(now=self.now)

    @property
    def free_slots(self) -> int:
        """Counts the deliveries that may be claimed for it now."""
        return free_slots(
            self.breaker,
            self.bucket,
            max_concurrency=self.max_concurrency,
            in_flight=self.in_flight,
            held_until=self.held_until,
            now=self.now,
        )


@dataclass(frozen=True, slots=True)
class DestinationHealth:
    """The state of a destination after some attempts; with `disabled_reason` it gets disabled."""

    destination_id: int
    breaker: CircuitBreaker
    held_until: datetime | None
    disabled_reason: DisabledReason | None


@dataclass(frozen=True)
class QueueDestinations:
    session: ReadSession

    async def lock_enabled(self, wanted: Collection[OwnedId]) -> list[LockedDestination]:
        """Locks the enabled ones of these as `lock_free` does, and then counts their leases.

        A statement counts what was committed before it began: one that locked as well would miss
        the leases of a claim that ended while it ran. In a cluster all must be of one shard, as in
        `list_unhealthy`.
        """
        rows = await self._execute(_LOCK_ENABLED, wanted)
        locked = [LockedDestination(*row) for row in rows]
        if not locked:
            return []
        ids = [OwnedId(one.owner_id, one.id) for one in locked]
        rows = await self._execute(_COUNT_LEASES_OF, ids)
        leases = {row[0]: (row[1], row[2]) for row in rows}
        counted = zip(locked, (leases[one.id] for one in locked), strict=True)
        return [one._replace(in_flight=found[0], expired_leases=found[1]) for one, found in counted]

    async def lock_free(self, shard: int, ids: Sequence[int]) -> list[LockedDestination]:
        """Locks destinations in the order of their ids; skips those that others have locked."""
        rows = await self.session.execute(_LOCK_FREE, {"shard": shard, "ids": list(ids)})
        return [LockedDestination(*row) for row in rows]

    async def list_existing(self, shard: int, ids: Sequence[int]) -> set[int]:
        rows = await self.session.execute(_LIST_EXISTING, {"shard": shard, "ids": ids})
        return {row[0] for row in rows}

    async def list_unhealthy(self, wanted: Collection[OwnedId]) -> set[int]:
        """Returns the ids of those whose breaker has failures or a window: a success changes it."""
        return {row[0] for row in await self._execute(_LIST_UNHEALTHY, wanted)}

    async def _execute(
        self, statement: ShardedStatement, wanted: Collection[OwnedId]
    ) -> Iterable[Any]:
        sql, shards = statement.on([one.shard for one in wanted])
        return await self.session.execute(sql, {**shards, "ids": [one.id for one in wanted]})

    async def save_breakers(self, shard: int, health: Sequence[DestinationHealth]) -> None:
        saved = {
            "shard": shard,
            "ids": [one.destination_id for one in health],
            "failures": [one.breaker.failures for one in health],
            "windows": [one.breaker.window for one in health],
            "probe_ats": [one.breaker.probe_at for one in health],
            "held_untils": [one.held_until for one in health],
            "disabled_reasons": [one.disabled_reason for one in health],
        }
        await self.session.execute(_SAVE_BREAKERS, saved)

    async def save_buckets(self, shard: int, buckets: Sequence[tuple[int, TokenBucket]]) -> None:
        """Saves buckets by their destinations' ids."""
        saved = {
            "shard": shard,
            "ids": [destination_id for destination_id, _ in buckets],
            "tokens": [bucket.tokens for _, bucket in buckets],
            "tokens_ats": [bucket.at for _, bucket in buckets],
        }
        await self.session.execute(_SAVE_BUCKETS, saved)

    async def return_tokens(self, shard: int, tokens: Mapping[int, int]) -> None:
        """Gives tokens back to the buckets of destinations, by their ids."""
        returned = {"shard": shard, "ids": [*tokens], "tokens": [*tokens.values()]}
        await self.session.execute(_RETURN_TOKENS, returned)
