"""Every list of the API is read from an index in its order, with every filter and pair of filters.

The filters come from openapi.json, so a new one is tested, too: it needs a value here, and an index
or a reason why not.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import combinations
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from event_trigger.triggers.sorting import TriggerSort
from tests.support.databases import connect
from tests.support.document import Operation, described_api, operations_of
from tests.support.one_server import one_server
from tests.support.plans import nodes_of, plan_in_order
from tests.support.services import ADA, ADMIN, Service, idle_service

pytestmark = one_server("workers make the plans of a cluster")

VALUES: dict[str, list[str]] = {
    "type": ["api"],
    "source": ["schedule", "hook"],
    "status": ["paused", "delivered"],
    "state": ["archived"],
    "is_test": ["true"],
    "since": ["2026-01-01T00:00:00Z"],
    "until": ["2126-01-01T00:00:00Z"],
    "tag": ["a"],
    "q": ["a"],
    "event_id": ["7"],
    "notice_id": ["7"],
    "kind": ["destination.opened"],
    "trigger_id": ["7"],
    "destination_id": ["7"],
    "user_id": ["7"],
    "action": ["trigger.update"],
    "target": ["trigger"],
    "target_id": ["7"],
    "refused": ["true", "false"],
    "key": ["a"],
    "id": ["7"],
    "failing": ["true", "false"],
    "heartbeat_status": ["silent", "waiting", "late", "paused"],
    "error": ["timeout"],
    "sort": [*TriggerSort],
    "view": ["summary"],
}
OTHER_VALUES = {"tag": "b", "id": "8", "trigger_id": "8", "status": "exhausted"}  # of repeated ones
NOT_FILTERS = {"limit", "cursor", "aggregate", "include"}
# an event has few deliveries, in no order: tests/deliveries/test_plans.py sees that they are found.
# each firing of a schedule would have to write to an index of a name, or of a type for admins
READ_AND_LEFT_OUT = {
    ("list_deliveries", "event_id"): "event_id",
    ("list_deliveries", "notice_id"): "event_id",
    ("list_notices", "kind"): "kind",  # a project has few: of a subject one in five minutes
    ("list_events", "source"): "source_kind",  # an admin's
    ("list_triggers", "tag"): "tags",  # found by it in trigger_tags, it still has it
    ("list_triggers", "q"): "name",
    ("list_triggers", "type"): "type",  # an admin's
    ("list_triggers", "destination_id"): "destination_ids",  # as tags
    ("list_triggers", "failing"): "error",  # most are not
    ("list_triggers", "heartbeat_status"): "heartbeat",  # of those, as pings write no index
    ("list_deliveries", "error"): "error",  # of those that have not arrived
    ("list_deliveries", "since"): "triggered_at",  # within bounds of the id
    ("list_deliveries", "until"): "triggered_at",
    ("list_destinations", "key"): "key",  # a project has few
    ("list_destinations", "status"): "disabled_reason",
    ("list_destinations", "state"): "window",
    ("list_audit", "refused"): "refused",  # most are not
}
# an owner reads the index of the project's own entries, whatever else is asked
LEFT_TO_PROJECTS = {"list_audit"}
LISTS = [
    one
    for one in operations_of(described_api())
    if not one.writes and "{" not in one.path and "cursor" in one.parameters("query")
]


@pytest.fixture
async def idle(database_url: str) -> AsyncIterator[Service]:
    async with idle_service(database_url) as service:
        yield service


def filters_of(operation: Operation) -> list[str]:
    return [one for one in operation.parameters("query") if one not in NOT_FILTERS]


Query = Mapping[str, str | list[str]]


def queries_of(operation: Operation) -> Iterator[Query]:
    """Returns queries without a filter, with each value, with a repeated one, and with pairs."""
    names = filters_of(operation)
    yield {}
    yield from ({name: value} for name in names for value in VALUES[name])
    yield from (
        {name: [VALUES[name][0], OTHER_VALUES[name]]} for name in operation.repeated_parameters
    )
    yield from ({one: VALUES[one][0], two: VALUES[two][-1]} for one, two in combinations(names, 2))


async def sent_by(
    client: httpx.AsyncClient,
    path: str,
    query: Query,
    *,
    parts: tuple[str, ...] = ("LIMIT", "ORDER BY"),
) -> list[tuple[str, Any]]:
    """Returns the statements that read a list, if the list accepts the query."""
    sent: list[tuple[str, Any]] = []

    def look(_c: Any, _k: Any, statement: str, parameters: Any, *_: Any) -> None:
        if all(part in statement for part in parts):
            sent.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", look)
    try:
        answer = await client.get(path, params=query)
    finally:
        event.remove(Engine, "before_cursor_execute", look)
    assert answer.status_code in {200, 422}, answer.text
    assert sent or answer.status_code == 422, (path, query)
    return sent


def sorts_without_end(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Finds sorts of more than the few rows of each index range."""
    return [
        node
        for node in nodes_of(plan)
        if "Sort" in node["Node Type"] and not all(map(is_bounded, node["Plans"]))
    ]


def is_bounded(node: dict[str, Any]) -> bool:
    if node["Node Type"] in {"Limit", "Function Scan"} or "One-Time Filter" in node:
        return True  # a function gives the ids of a filter
    return bool(node.get("Plans")) and all(map(is_bounded, node["Plans"]))


@pytest.mark.parametrize("operation", LISTS, ids=lambda one: one.id)
@pytest.mark.parametrize("user_id", [ADA, ADMIN], ids=["owner", "admin"])
async def test_a_list_reads_its_index_in_order_and_sorts_nothing_without_end(
    idle: Service, operation: Operation, user_id: int
) -> None:
    if operation.path == "/users" and user_id != ADMIN:
        return
    connection = await connect(idle.database_url)
    client = idle.client(user_id, project="*" if user_id == ADMIN else None)
    walked = 0

    for query in queries_of(operation):
        for statement, parameters in await sent_by(client, operation.path, query):
            plan = await plan_in_order(connection, statement, parameters)
            scans = [one for one in nodes_of(plan) if "Relation Name" in one]
            walked += 1

            assert scans or any("One-Time Filter" in one for one in nodes_of(plan)), (query, plan)
            assert all("Index" in one["Node Type"] for one in scans), (query, scans[0])
            assert sorts_without_end(plan) == [], query
            if len(query) == 1:
                [name] = query
                column = READ_AND_LEFT_OUT.get((operation.id, name))
                if user_id != ADMIN and operation.id in LEFT_TO_PROJECTS:
                    column = name
                for scan in scans:
                    left = scan.get("Filter", "").replace("owner_id", "")
                    if " = ANY " in left and connection.get_server_version() < (17,):
                        continue  # an index condition of several values kept no order then
                    assert not left or is_expected(left, column), (query, scan)
    assert walked
    await connection.close()


@pytest.mark.parametrize(
    ("user_id", "project", "index"),
    [(ADA, None, "pk_trigger_tags"), (ADMIN, "*", "ix_trigger_tags_tag")],
)
async def test_triggers_are_found_by_their_tag_and_not_looked_through(
    idle: Service, user_id: int, project: str | None, index: str
) -> None:
    connection = await connect(idle.database_url)
    client = idle.client(user_id, project=project)

    for statement, parameters in await sent_by(client, "/triggers", {"tag": "a"}):
        plan = await plan_in_order(connection, statement, parameters)
        looked_up = [one for one in nodes_of(plan) if one.get("Relation Name") == "trigger_tags"]

        assert {one["Index Name"] for one in looked_up} == {index}
        assert all("tag" in one["Index Cond"] for one in looked_up)
    await connection.close()


@pytest.mark.parametrize("found", ["tag", "destination_id"])
async def test_beside_a_tag_or_a_destination_no_index_of_kinds_is_read(
    idle: Service, found: str
) -> None:
    connection = await connect(idle.database_url)
    query: Query = {found: VALUES[found], "status": "paused", "type": "api"}

    for statement, parameters in await sent_by(idle.client(ADA), "/triggers", query):
        plan = await plan_in_order(connection, statement, parameters)
        scans = [one for one in nodes_of(plan) if one.get("Relation Name") == "triggers"]

        assert scans
        assert all("status" not in one["Index Cond"] for one in scans), scans
    await connection.close()


async def test_names_are_searched_in_an_index_alone(idle: Service) -> None:
    connection = await connect(idle.database_url)
    client = idle.client(ADA)

    for sort in (TriggerSort.NEWEST, TriggerSort.OLDEST):
        for statement, parameters in await sent_by(
            client, "/triggers", {"q": "a", "sort": str(sort)}
        ):
            plan = await plan_in_order(connection, statement, parameters)
            outer = next(one for one in nodes_of(plan) if "Relation Name" in one)

            assert outer["Node Type"] == "Index Only Scan"
            assert outer["Index Name"] == "ix_trigger_sort_keys_id"
            assert "sort_name ~~" in outer["Filter"]
    await connection.close()


@pytest.mark.parametrize("found", ["trigger_id", "destination_id"])
async def test_deliveries_of_a_status_are_found_at_the_end_of_their_range(
    idle: Service, found: str
) -> None:
    """An equality beside the range would start at the newest of all statuses, and read them all."""
    connection = await connect(idle.database_url)

    for statement, parameters in await sent_by(idle.client(ADA), "/deliveries", {found: "7"}):
        plan = await plan_in_order(connection, statement, parameters)
        scans = [one for one in nodes_of(plan) if "Relation Name" in one]

        assert all(f"ROW({found}, status, id) >=" in one["Index Cond"] for one in scans), scans[0]
        assert all(f"({found} = " not in one["Index Cond"] for one in scans), scans[0]
    await connection.close()


async def test_an_owner_reads_the_log_of_the_project_by_its_index(idle: Service) -> None:
    operation = next(one for one in LISTS if one.id == "list_audit")
    connection = await connect(idle.database_url)
    client = idle.client(ADA)

    for query in queries_of(operation):
        for statement, parameters in await sent_by(client, operation.path, query):
            plan = await plan_in_order(connection, statement, parameters)
            scans = [one for one in nodes_of(plan) if "Relation Name" in one]

            assert {one["Index Name"] for one in scans} == {"ix_audit_entries_project"}, query
            assert all("project_id" in one["Index Cond"] for one in scans), query
    await connection.close()


@pytest.mark.parametrize(
    "query",
    [{"source": "hook"}, {"source": "replay", "type": "api", "since": VALUES["since"]}],
    ids=["by source", "with others"],
)
async def test_an_owner_finds_events_by_their_source(idle: Service, query: Query) -> None:
    connection = await connect(idle.database_url)
    client = idle.client(ADA)

    for statement, parameters in await sent_by(client, "/events", query):
        plan = await plan_in_order(connection, statement, parameters)
        scans = [one for one in nodes_of(plan) if one.get("Relation Name", "").startswith("events")]

        assert scans
        assert all("(source_kind = " in one["Index Cond"] for one in scans), scans[0]
    await connection.close()


async def test_events_are_counted_by_source_in_an_index_alone(idle: Service, database: Any) -> None:
    await database.execute("SET synchronous_commit = on")  # or VACUUM marks no page as visible yet
    await database.execute(
        "INSERT INTO events (shard, owner_id, trigger_id, type, is_test, source_kind)"
        " SELECT $1::bigint % 64, $1, number % 9, 'api', false,"
        " CASE WHEN number % 99 > 0 THEN 'api_key' ELSE 'hook' END"
        " FROM generate_series(1, 5000) AS number",
        ADA,
    )
    await database.execute("VACUUM ANALYZE events")
    await database.execute("SET enable_seqscan = off")
    query = {"source": "hook"}

    sent = await sent_by(idle.client(ADA), "/events/counts", query, parts=("sum(fired)",))

    [(statement, parameters)] = sent
    found = await database.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *parameters)
    scans = [one for one in nodes_of(json.loads(found)[0]["Plan"]) if "Relation Name" in one]
    busy = max(scans, key=lambda one: one["Plan Rows"])
    assert busy["Node Type"] == "Index Only Scan"
    assert "(source_kind = " in busy["Index Cond"]


def is_expected(condition: str, column: str | None) -> bool:
    """Accepts filters that exclude few rows or none, such as those of deleted projects."""
    deleted = "NOT (ANY", "NOT (hashed SubPlan"  # as PostgreSQL 18 and 15 say it
    few = column or "scopes", "scopes", "IS DISTINCT FROM", *deleted
    return any(one in condition for one in few)


def test_the_walk_finds_the_lists() -> None:
    assert {one.id for one in LISTS} >= {
        "list_events",
        "list_triggers",
        "list_deliveries",
        "list_destinations",
        "list_keys",
        "list_users",
        "list_audit",
        "list_sets",
        "list_calendars",
        "list_notices",
    }
