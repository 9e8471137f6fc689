"""The suite recognises statements that Citus refuses, and the service uses none of them."""

import pytest

from tests.support.shards import refused_by_citus


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE triggers SET a = clock_timestamp() WHERE shard = 1", "a volatile function"),
        ("DELETE FROM events WHERE shard = 1 AND random() < 0.5", "a volatile function"),
        (
            "UPDATE triggers SET a = CASE WHEN b > 0 THEN now() ELSE a END WHERE shard = 1",
            "a clock within CASE",
        ),
        ("UPDATE sets SET a = coalesce(a, now()) WHERE shard = 1", "a clock within COALESCE"),
        (
            "UPDATE deliveries SET a = queued_at + CAST(:pace AS interval) WHERE shard = 1",
            "a column and an interval",
        ),
        (
            "UPDATE deliveries SET a = CAST(:start AS timestamptz)"
            " + (chosen.place - 1) * CAST(:pace AS interval) FROM chosen WHERE shard = 1",
            "a column and an interval",
        ),
        (
            "UPDATE triggers SET a = 1 WHERE shard = 1 RETURNING id, now()",
            "a function in RETURNING",
        ),
        (
            "INSERT INTO sets (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET created_at = now()",
            "a clock in DO UPDATE",
        ),
        (
            "UPDATE deliveries SET a = (CAST(:a AS int[]))[array_position(CAST(:b AS int[]), c)]"
            " WHERE shard = 1",
            "a subscript in SET",
        ),
        (
            "SELECT id, (SELECT reached FROM event_bytes WHERE event_bytes.shard = triggers.shard)"
            " FROM triggers WHERE shard = 1 FOR NO KEY UPDATE",
            "a lock beside a column",
        ),
        (
            "DELETE FROM triggers WHERE shard = 1 AND owner_id IN (SELECT id FROM projects)",
            "a table of the coordinator",
        ),
        (
            "INSERT INTO events (shard, trigger_id) SELECT triggers.shard, triggers.id"
            " FROM unnest(CAST(CAST($1 AS text) AS bigint[])) AS fired (id)"
            " JOIN triggers ON triggers.shard = 1 AND triggers.id = fired.id",
            "rows that wait for an id",
        ),
        (
            "WITH old AS (SELECT id FROM triggers WHERE shard = 1 FOR UPDATE SKIP LOCKED), new AS ("
            "INSERT INTO sets (shard, a) SELECT 1, 2) DELETE FROM sets WHERE shard = 1",
            "a query that locks rows beside an INSERT of a SELECT",
        ),
    ],
)
def test_a_change_that_citus_refuses_is_noticed(statement: str, why: str) -> None:
    [refused] = refused_by_citus(statement, across_shards=False)

    assert refused.startswith(why)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM triggers WHERE next_fire_at < now() LIMIT 5 FOR NO KEY UPDATE SKIP LOCKED",
        "WITH RECURSIVE waiting AS (SELECT shard FROM deliveries) SELECT * FROM waiting",
    ],
)
def test_only_one_shard_may_be_locked_or_gone_along(statement: str) -> None:
    assert refused_by_citus(statement, across_shards=True)
    assert not refused_by_citus(statement, across_shards=False)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE logins SET revoked_at = coalesce(revoked_at, now()) WHERE user_id = 1",
        "UPDATE triggers SET a = CAST(:a AS int[]) FROM unnest(CAST(:b AS int[])) AS b (c)"
        " WHERE shard = 1 AND (array_agg(c))[1] = 2",
        "SELECT * FROM triggers WHERE shard = 1 AND owner_id IN (SELECT id FROM projects)",
        "DELETE FROM deliveries WHERE finished_at < now() - CAST(:after AS interval)",
        "INSERT INTO events (shard, triggered_at) VALUES (1, clock_timestamp()) RETURNING id",
        "INSERT INTO events AS stored (id, shard, trigger_id) OVERRIDING SYSTEM VALUE"
        " SELECT fired.event_id, triggers.shard, triggers.id FROM unnest(CAST(CAST($1 AS text)"
        " AS bigint[]), CAST(CAST($2 AS text) AS bigint[])) AS fired (id, event_id)"
        " JOIN triggers ON triggers.shard = 1 AND triggers.id = fired.id",
        "INSERT INTO sign_in_failures VALUES (1) ON CONFLICT (a) DO UPDATE SET a = now()",
    ],
)
def test_what_citus_takes_is_left_alone(statement: str) -> None:
    assert refused_by_citus(statement, across_shards=False) == []
