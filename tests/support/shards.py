"""Checks every statement of the suite: it names the shard of owned rows, and Citus can run it."""

import re
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from event_trigger.db.citus.placement import Placement, tables_of
from event_trigger.db.shards import ACROSS_SHARDS

ONE_SERVER = "one server"  # a cluster runs another statement instead
ALLOWED = {"due shards", "admin reads", "retention", "erasure", ONE_SERVER}


def _about(*placements: Placement) -> re.Pattern[str]:
    names = [table.name for one in placements for table in tables_of(one)]
    return re.compile(rf"\b({'|'.join(names)})\b")


_OWNED = _about(Placement.DISTRIBUTED)
_PLACED = _about(Placement.DISTRIBUTED, Placement.REFERENCE)
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
    "a column and an interval in UPDATE": r"\b\w+_(at|until|after) [-+] ",
    "a function in RETURNING": rf"\bRETURNING\b[^)]*{_CLOCKS}",
}
_ANYWHERE = {
    "a clock in DO UPDATE": rf"\bDO UPDATE SET\b.*{_CLOCKS}",
}
_ACROSS_SHARDS = {
    "a lock across shards": r"\bFOR (NO KEY )?(UPDATE|SHARE)\b",
    "a recursion across shards": r"\bWITH RECURSIVE\b",
}


def refused_by_citus(statement: str, *, across_shards: bool) -> list[str]:
    """Gives the reasons why Citus would refuse a statement, as far as its text shows them."""
    if not _PLACED.search(statement):
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
        if reason not in ALLOWED and _OWNED.search(statement) and not _SAYS_SHARD.search(statement):
            self.offenders.append(statement)
        if reason != ONE_SERVER:
            across = reason is not None and _OWNED.search(statement) is not None
            refused = refused_by_citus(statement, across_shards=across)
            self.offenders += [f"{why}: {statement}" for why in refused]
