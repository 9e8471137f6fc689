"""Stores the mails to people, and claims those that are due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.notify import MAILS_QUEUED, notify
from event_trigger.models import AccountMail, AccountMailKind
from event_trigger.vault import Sealed

LEASE = timedelta(seconds=60)  # an attempt takes half of it

_CLAIM = text("""
    UPDATE account_mails SET lease = lease + 1, next_attempt_at = now() + CAST(:lease AS interval)
    WHERE id = (
        SELECT id FROM account_mails WHERE next_attempt_at <= now()
        ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, kind, key_id, sealed, lease, tries, created_at, expires_at, now()
""")


class ClaimedMail(NamedTuple):
    """A mail under a new lease; `now` is the database's clock."""

    id: int
    kind: str
    key_id: str
    data: bytes
    lease: int
    tries: int
    created_at: datetime
    expires_at: datetime
    now: datetime

    @property
    def sealed(self) -> Sealed:
        return Sealed(self.key_id, self.data)


@dataclass(frozen=True)
class AccountMails:
    session: AsyncSession

    async def add(
        self,
        kind: AccountMailKind,
        sealed: Sealed,
        *,
        lasts: timedelta,
        invitation_id: int | None = None,
    ) -> None:
        """Queues a mail, which the senders hear of with the commit."""
        self.session.add(
            AccountMail(
                kind=kind,
                sealed=sealed.data,
                key_id=sealed.key_id,
                invitation_id=invitation_id,
                expires_at=func.now() + lasts,
            )
        )
        await self.session.flush()
        await notify(self.session, MAILS_QUEUED)

    async def claim(self) -> ClaimedMail | None:
        """Leases the mail that has been due for longest."""
        row = (await self.session.execute(_CLAIM, {"lease": LEASE})).one_or_none()
        return None if row is None else ClaimedMail._make(row)

    async def write(self, mail: ClaimedMail, sealed: Sealed, reset_id: int) -> None:
        """Replaces a request by the mail about a link."""
        statement = update(AccountMail).where(AccountMail.id == mail.id)
        await self.session.execute(
            statement.values(
                kind=AccountMailKind.PASSWORD_RESET,
                sealed=sealed.data,
                key_id=sealed.key_id,
                reset_id=reset_id,
            )
        )

    async def finish(self, mail: ClaimedMail) -> bool:
        """Deletes a mail that is sent or given up; False if another process has it by now."""
        statement = delete(AccountMail).where(
            AccountMail.id == mail.id, AccountMail.lease == mail.lease
        )
        return await self.session.scalar(statement.returning(AccountMail.id)) is not None

    async def retry(self, mail: ClaimedMail, *, after: timedelta) -> None:
        statement = update(AccountMail).where(
            AccountMail.id == mail.id, AccountMail.lease == mail.lease
        )
        await self.session.execute(
            statement.values(tries=mail.tries + 1, next_attempt_at=func.now() + after)
        )

    async def seconds_until_next(self) -> float | None:
        due_in = func.extract("epoch", func.min(AccountMail.next_attempt_at) - func.now())
        seconds = await self.session.scalar(select(due_in))
        return None if seconds is None else max(0.0, float(seconds))
