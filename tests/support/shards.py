"""Watches every statement of the suite: about an owner's rows, it must say in which shard."""

import re
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from event_trigger.db.engine import ACROSS_SHARDS

ALLOWED = {"due shards", "admin reads", "retention"}
_OWNED = re.compile(
    r"\b(triggers|events|event_counts|idempotency_keys"
    r"|destinations|deliveries|delivery_attempts)\b"
)
_SAYS_SHARD = re.compile(r"\bshard (=|IN)|INSERT INTO \w+\s+\(shard\b")
_CHANGES_SCHEMA = re.compile(r"\s*(CREATE|ALTER|DROP|COMMENT)\b")


class ShardWatch:
    """Collects the statements that would have to ask every server of a cluster."""

    def __init__(self) -> None:
        self.offenders: list[str] = []
        event.listen(Engine, "before_cursor_execute", self._look)

    def _look(self, _c: Any, _k: Any, statement: str, _p: Any, context: Any, _m: Any) -> None:
        if not _OWNED.search(statement) or _CHANGES_SCHEMA.match(statement):
            return
        reason = context.execution_options.get(ACROSS_SHARDS) if context else None
        if reason not in ALLOWED and not _SAYS_SHARD.search(statement):
            self.offenders.append(statement)
