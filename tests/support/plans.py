"""Gives PostgreSQL's plans for the statements that some work sends."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from event_trigger.db.engine import create_sessions
from tests.support.databases import connect
from tests.support.one_server import skip_on_cluster

_ELSEWHERE = "workers make the plans of a cluster"
Work = Callable[[AsyncSession], Awaitable[Any]]


async def plans_of(engine: AsyncEngine, work: Work) -> list[str]:
    """Gives the plans, without sequential scans, of the statements that some work sends."""
    return [await _explain(engine, *one) for one in await _sent_by(engine, work)]


async def generic_plans_of(engine: AsyncEngine, work: Work) -> list[str]:
    """Gives the plans that PostgreSQL keeps for all values of the statements that work sends."""
    sent = await _sent_by(engine, work)
    connection = await connect(engine.url.render_as_string(hide_password=False))
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    plans = []
    for statement, parameters in sent:
        # partitions are left out when a plan begins, so instants have their values
        values = [f"'{one}'" if isinstance(one, datetime) else "NULL" for one in parameters]
        given = f"({', '.join(values)})" if values else ""
        await connection.execute(f"PREPARE planned AS {statement}")
        rows = await connection.fetch(f"EXPLAIN EXECUTE planned{given}")
        await connection.execute("DEALLOCATE planned")
        plans.append("\n".join(row[0] for row in rows))
    await connection.close()
    return plans


async def _sent_by(engine: AsyncEngine, work: Work) -> list[tuple[str, tuple[Any, ...]]]:
    skip_on_cluster(_ELSEWHERE)
    sent: list[tuple[str, tuple[Any, ...]]] = []

    def look(_c: Any, _k: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", look)
    async with create_sessions(engine)() as session:
        await work(session)
    event.remove(engine.sync_engine, "before_cursor_execute", look)
    return sent


async def _explain(engine: AsyncEngine, statement: str, parameters: tuple[Any, ...]) -> str:
    connection = await connect(engine.url.render_as_string(hide_password=False))
    await connection.execute("SET enable_seqscan = off")
    rows = await connection.fetch(f"EXPLAIN {statement}", *parameters)
    await connection.close()
    return "\n".join(row[0] for row in rows)


def tables_scanned(plan: str) -> set[str]:
    return set(re.findall(r"(?<!Subquery Scan) on (\w+)", plan))


async def plan_in_order(connection: Any, statement: str, parameters: Any) -> dict[str, Any]:
    """Gives the plan that reads an index in order, if there is one, against all statistics."""
    skip_on_cluster(_ELSEWHERE)
    for way in ("seqscan", "bitmapscan", "sort"):
        await connection.execute(f"SET enable_{way} = off")
    found = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *parameters)
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)
