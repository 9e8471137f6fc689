"""Checks every statement of the suite: it names the shard of owned rows, and Citus can run it."""

import re
from functools import lru_cache
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from event_trigger.db.citus.placement import Placement, tables_of
from event_trigger.db.shards import ACROSS_SHARDS

ONE_SERVER = "one server"  # a cluster runs another statement instead
ALLOWED = {"due shards", "admin reads", "retention", "erasure", ONE_SERVER}


def _names_of(placement: Placement) -> str:
    return "|".join(table.name for table in tables_of(placement))


_OWNED = re.compile(rf"\b({_names_of(Placement.DISTRIBUTED)})\b")
_SAYS_SHARD = re.compile(r"\bshard (=|IN)|INSERT INTO \w+\s+\(shard\b")
_ABOUT_A_TABLE = re.compile(
    r"\s*(CREATE|ALTER|DROP|LOCK|COMMENT|ANALYZE|SELECT create_\w+_table)\b"
)

# docs.citusdata.com, "SQL Support and Workarounds"; ModifyQuerySupported() and
# ErrorIfOnConflictNotSupported() in its multi_router_planner.c
_CLOCKS = r"(now|statement_timestamp|transaction_timestamp|clock_timestamp)\(\)"
_CHANGES = re.compile(r"\b(UPDATE \w+ SET|DELETE FROM)\b")
_IN_CHANGES = {
    "a volatile function in UPDATE or DELETE": r"\b(clock_timestamp|random|gen_random_uuid)\(",
    "a clock within CASE": rf"\bCASE\b((?!\bEND\b).)*{_CLOCKS}",
    "a clock within COALESCE": rf"\bcoalesce\([^()]*{_CLOCKS}",
    "a column and an interval in UPDATE": (
        r"\b\w+_(at|until|after) [-+] |\b\w+\.\w+\b[^,]*\* CAST\([^()]* AS interval\)"
    ),
    "a function in RETURNING": rf"\bRETURNING\b[^)]*{_CLOCKS}",
    # seen on Citus 13: the first ends the coordinator by SIGSEGV
    "a subscript in SET": r"\bUPDATE \w+ SET\b((?!\bWHERE\b).)*[\w)]\s*\[(?!\])",
    "a table of the coordinator": rf"\b(FROM|JOIN|USING) ({_names_of(Placement.LOCAL)})\b",
}
_ANYWHERE = {
    "a clock in DO UPDATE": rf"\bDO UPDATE SET\b.*{_CLOCKS}",
    "a lock beside a column that takes its shard from another table": (
        r"\(\s*SELECT [^()]*\bWHERE \w+\.shard = \w+\.shard\b.*\bFOR (NO KEY )?(UPDATE|SHARE)\b"
    ),
    # seen on Citus 13: "attribute 2 of type record has wrong type"
    "rows that wait for an id, of a table and an array that is sent as text": (
        rf"\bINSERT INTO (events|deliveries)\s*\(shard\b[^)]*\)\s*SELECT\b((?!\bSELECT\b).)*"
        rf"\bunnest\(\s*CAST\(CAST\(.*\bJOIN ({_names_of(Placement.DISTRIBUTED)})\b"
    ),
    # seen on Citus 13: it reads the file of rows as if they were text
    "a query that locks rows beside an INSERT of a SELECT": (
        r"\bFOR (NO KEY )?UPDATE( SKIP LOCKED)?\s*\)\s*,.*\bINSERT INTO\b.*\bSELECT\b"
    ),
}
_ACROSS_SHARDS = {
    "a lock across shards": r"\bFOR (NO KEY )?(UPDATE|SHARE)\b",
    "a recursion across shards": r"\bWITH RECURSIVE\b",
}


def refused_by_citus(statement: str, *, across_shards: bool) -> list[str]:
    """Gives the reasons why Citus would refuse a statement, as far as its text shows them."""
    if not _OWNED.search(statement):
        return []
    rules = dict(_ANYWHERE)
    if _CHANGES.search(statement):
        rules |= _IN_CHANGES
    if across_shards:
        rules |= _ACROSS_SHARDS
    return [
        why
        for why, pattern in rules.items()
        if re.search(pattern, statement, re.IGNORECASE | re.DOTALL)
    ]


@lru_cache(maxsize=10_000)  # the suite sends each of its statements thousands of times
def _offences(statement: str, reason: str | None) -> tuple[str, ...]:
    """Gives the reasons against a statement that reads or writes rows; none if it is right."""
    is_owned = _OWNED.search(statement) is not None
    found = []
    if reason not in ALLOWED and is_owned and not _SAYS_SHARD.search(statement):
        found.append(statement)
    if reason != ONE_SERVER:
        refused = refused_by_citus(statement, across_shards=reason is not None and is_owned)
        found += [f"{why}: {statement}" for why in refused]
    return tuple(found)


class ShardWatch:
    """Collects statements that a cluster would refuse, or send to every server."""

    def __init__(self) -> None:
        self.offenders: list[str] = []
        self.reasons: set[str] = set()
        event.listen(Engine, "before_cursor_execute", self._look)

    def _look(self, _c: Any, _k: Any, statement: str, _p: Any, context: Any, _m: Any) -> None:
        if _ABOUT_A_TABLE.match(statement):
            return
        reason = context.execution_options.get(ACROSS_SHARDS) if context else None
        self.reasons.add(reason or "one shard")
        self.offenders += _offences(statement, reason)
