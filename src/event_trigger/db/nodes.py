"""Asks the shards of a Citus cluster, and goes on without a node that does not answer."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from event_trigger.db.engine import is_outage, sqlstate
from event_trigger.db.errors import FailureLog
from event_trigger.models import SHARDS

log = structlog.get_logger()
_failures = FailureLog(log, "node_failed", outage="node_away")
T = TypeVar("T")
_INTERNAL_ERROR = "XX000"  # Citus: "failure on connection marked as essential"
LEFT_OUT_SECONDS = 5.0  # after a node did not answer: each question to it may take as long
_left_out: dict[str, float] = {}  # the time of our monotonic clock until which, by address
Ask = Callable[[Sequence[int]], Awaitable[list[T]]]

_LIST_NODES = text(f"""
    SELECT nodename || ':' || nodeport, array_agg(shard)
    FROM generate_series(0, {SHARDS - 1}) AS shard
    JOIN pg_dist_placement AS placed
        ON placed.shardid = get_shard_id_for_distribution_column(CAST(:table AS regclass), shard)
    JOIN pg_dist_node AS node ON node.groupid = placed.groupid AND noderole = 'primary'
    GROUP BY nodename, nodeport
""")  # noqa: S608

_CHECK_NODES = text("""
    SELECT to_nodename || ':' || to_nodeport AS address, bool_or(coalesce(result, false))
    FROM citus_check_cluster_node_health() GROUP BY 1 ORDER BY 1
""")


class ClusterNode(NamedTuple):
    """A node of the cluster, and our shards whose rows it holds."""

    address: str
    shards: list[int]


async def list_nodes(session: AsyncSession) -> list[ClusterNode]:
    """Lists the nodes with their shards; asks the coordinator alone."""
    return [*map(ClusterNode._make, await session.execute(_LIST_NODES, {"table": "triggers"}))]


async def check_nodes(connection: AsyncConnection) -> dict[str, bool]:
    """Tells for each node, the coordinator too, whether any node reaches it."""
    return {row.address: row[1] for row in await connection.execute(_CHECK_NODES)}


async def ask_all_shards(session: AsyncSession, ask: Ask[T]) -> list[T]:
    """Asks all shards at once; if that fails, those of each node apart, without failing ones.

    A node that failed is left out for five seconds. Each failure ends the transaction, so it must
    only read. Raises the error of the coordinator, and of the last node if none answers.
    """
    if not _away():
        try:
            return await ask(range(SHARDS))
        except DBAPIError as error:
            if not _is_of_a_node(error):
                raise
        await session.rollback()
    nodes = await list_nodes(session)
    asked = [one for one in nodes if one.address not in _away()] or nodes
    found: list[T] = []
    failure: DBAPIError | None = None
    failed = 0
    for node in asked:
        try:
            found += await ask(node.shards)
            _failures.succeeded(node.address)
        except DBAPIError as error:
            if not _is_of_a_node(error):
                raise
            await session.rollback()
            _left_out[node.address] = time.monotonic() + LEFT_OUT_SECONDS
            failure, failed = error, failed + 1
            _failures.failed(node.address, error, node=node.address)
    if failure is not None and failed == len(asked):
        raise failure
    return found


def _away() -> set[str]:
    """Names the nodes that are left out now."""
    now = time.monotonic()
    return {address for address, until in _left_out.items() if until > now}


def _is_of_a_node(error: DBAPIError) -> bool:
    """Tells whether the coordinator answered, and says that a worker did not."""
    state = sqlstate(error)
    return not error.connection_invalidated and (
        state == _INTERNAL_ERROR or (bool(state) and is_outage(error))
    )
