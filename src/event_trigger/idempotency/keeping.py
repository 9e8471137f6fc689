"""Answers a repeated call with an `Idempotency-Key` as the first one, and does nothing again.

1. Look: a dependency of the operation finds the kept answer of the first call, and gives it at
   once. Another body, or a caller with fewer rights, is refused.
2. Claim: as soon as the request's transaction begins, it takes the lock of the key, and looks
   again. If another call has the lock, the first call is still running: 409, without waiting.
3. Keep: the answer is stored in that transaction, after the endpoint and before the commit. A
   killed process or a failed commit leaves neither the new row nor the answer. Refusals roll back,
   so that they are not kept.

If two servers of a cluster give the same lock, the primary key refuses the second answer, and the
second call rolls back. A key counts for one caller (a user, an API key, or all without a login),
one operation with its path, and one project. Calls that fire have `firing/idempotency.py`, which
does this for a crowd of calls in one transaction.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from event_trigger.db.engine import Sessions
from event_trigger.idempotency.refusals import (
    REPLAYED_HEADER,
    KeyReused,
    MoreRightsNeeded,
    StillRunning,
)
from event_trigger.idempotency.repository import (
    Kept,
    KeyedCall,
    add,
    delete_expired,
    find,
    try_lock,
)
from event_trigger.web.answers import Answer, Answered


@dataclass(frozen=True, slots=True)
class Keeping:
    """Keeps the answer of one call in the request's session, which has not begun yet."""

    session: AsyncSession
    call: KeyedCall

    async def look(self, sessions: Sessions) -> None:
        """Raises Answered if the answer is kept; claims the key when the request's session begins.

        Looks in a session of its own: the endpoint may have to wait for others before its own.
        """
        assert not self.session.in_transaction()
        async with sessions() as session:
            kept = await session.run_sync(lambda one: find(one.connection(), self.call))
        self._give(kept)
        event.listen(self.session.sync_session, "after_begin", self._claim, once=True)

    def _claim(self, _: Session, __: SessionTransaction, connection: Connection) -> None:
        if not try_lock(connection, self.call):
            raise StillRunning
        kept = find(connection, self.call)
        self._give(kept)
        if kept is not None:
            delete_expired(connection, self.call)

    def _give(self, kept: Kept | None) -> None:
        """Raises Answered for an answer of the last 48 hours, if this call may have it."""
        if kept is None or kept.is_expired:
            return
        if kept.body_hash not in self.call.fingerprints:
            raise KeyReused
        if not _may_read(self.call, kept):
            raise MoreRightsNeeded
        headers = {**kept.headers, REPLAYED_HEADER: "true"}
        raise Answered(Answer(kept.status, headers, kept.body.encode()))

    async def keep(self, answer: Answer, secrets: Collection[str]) -> None:
        """Stores an answer without its `secrets`; raises StillRunning if another call has."""
        body, email = _kept_body(answer.body, secrets)
        is_added = await add(
            self.session,
            self.call,
            status=answer.status,
            headers=answer.headers,
            body=body,
            email=email,
        )
        if not is_added:
            raise StillRunning


def _may_read(call: KeyedCall, kept: Kept) -> bool:
    """Tells whether the caller has all the rights of the caller that got the answer."""
    if not call.scopes.issuperset(kept.scopes):
        return False
    if call.trigger_ids is None:
        return True
    return kept.trigger_ids is not None and call.trigger_ids.issuperset(kept.trigger_ids)


def _kept_body(body: bytes, secrets: Collection[str]) -> tuple[str, str | None]:
    """Returns a JSON body with null for secrets and a warning that says so, and its address."""
    answer = json.loads(body) if body else None
    if not isinstance(answer, dict):
        return body.decode(), None
    email = answer.get("email")
    named = None if not isinstance(email, str) else email.lower()
    left_out = [name for name in answer if name in secrets and answer[name] is not None]
    if not left_out:
        return body.decode(), named
    warning = (
        f"This answer repeats an earlier one. Secrets are not kept for that, so {_listed(left_out)}"
        " here."
    )
    kept = {
        **answer,
        **dict.fromkeys(left_out),
        "warnings": [*answer.get("warnings", ()), warning],
    }
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")), named


def _listed(names: list[str]) -> str:
    return f"{names[0]} is null" if len(names) == 1 else f"{' and '.join(names)} are null"
