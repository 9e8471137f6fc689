"""Takes an erased user's address, and the content of the user's projects, out of the log."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, func, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from event_trigger.models import AuditEntry

ERASED = "(erased)"  # stands instead of an address
ENTRIES_PER_BATCH = 5_000
_IN_PLACE = {"synchronize_session": False}


@dataclass(frozen=True)
class Redaction:
    """Redacts the log about a user's project, in batches of entries; ids, actions and times stay.

    `emails` are spellings of the user's address, in lower case, if the project is the user's own,
    which has the user's id. Of another project that the user was alone in, they are empty.
    """

    session: AsyncSession
    project_id: int
    emails: Sequence[str]

    async def redact_after(self, entry_id: int) -> int | None:
        """Redacts the entries after this one; returns the last of the batch, or None at the end.

        1. Empties the entries of the project.
        2. Of the user's own one, forgets from which addresses the user called, registered, or
           failed to sign in.
        3. Replaces the user's e-mail address wherever it stands in other entries.
        """
        newest = select(AuditEntry.id).where(AuditEntry.id > entry_id).order_by(AuditEntry.id)
        batch = newest.limit(ENTRIES_PER_BATCH).subquery()
        last: int | None = await self.session.scalar(select(func.max(batch.c.id)))
        if last is None:
            return None
        within = and_(AuditEntry.id > entry_id, AuditEntry.id <= last)
        await self._empty_entries(within)
        if self.emails:
            await self._forget_origins(within)
            await self._replace_emails(within)
        return last

    async def _empty_entries(self, within: ColumnElement[bool]) -> None:
        is_empty = and_(AuditEntry.before.is_(None), AuditEntry.after.is_(None))
        of_project = AuditEntry.project_id == self.project_id
        statement = update(AuditEntry).where(within, of_project, ~is_empty)
        nothing = {"before": null(), "after": null()}
        await self.session.execute(statement.values(nothing), execution_options=_IN_PLACE)

    async def _forget_origins(self, within: ColumnElement[bool]) -> None:
        not_signed_in = and_(
            AuditEntry.target == "user",
            AuditEntry.target_id == self.project_id,
            AuditEntry.user_id.is_(None),
        )
        about_user = or_(AuditEntry.user_id == self.project_id, not_signed_in)
        has_address = AuditEntry.address.is_not(None)
        statement = update(AuditEntry).where(within, about_user, has_address)
        await self.session.execute(statement.values(address=None), execution_options=_IN_PLACE)

    async def _replace_emails(self, within: ColumnElement[bool]) -> None:
        columns = AuditEntry.before, AuditEntry.after
        named = or_(*(_holds(column, email) for column in columns for email in self.emails))
        found = select(AuditEntry.id, *columns).where(within, named)
        for entry_id, before, after in await self.session.execute(found):
            statement = update(AuditEntry).where(AuditEntry.id == entry_id)
            redacted = {"before": _redacted(before, self.emails)}
            redacted |= {"after": _redacted(after, self.emails)}
            await self.session.execute(statement.values(redacted), execution_options=_IN_PLACE)


def _holds(column: InstrumentedAttribute[dict[str, Any] | None], email: str) -> ColumnElement[bool]:
    """Tests for an address as JSON spells it, where `é` is `\\u00e9`."""
    spelled = json.dumps(email)[1:-1]
    return func.strpos(func.lower(cast(column, Text)), spelled) > 0


def _redacted(value: Any, emails: Sequence[str]) -> Any:
    """Replaces addresses in a JSON value, but not within a longer address of somebody else."""
    if isinstance(value, str):
        return _pattern(emails).sub(ERASED, value)
    if isinstance(value, Mapping):
        return {_redacted(name, emails): _redacted(one, emails) for name, one in value.items()}
    if isinstance(value, list):
        return [_redacted(one, emails) for one in value]
    return value


def _pattern(emails: Sequence[str]) -> re.Pattern[str]:
    named = "|".join(map(re.escape, emails))
    return re.compile(rf"(?<![\w.+%-])(?:{named})(?![\w-]|\.\w)", re.IGNORECASE)
