"""Slows down password guessing: after some free failures, one more is allowed per interval.

The counts are in PostgreSQL, so that they hold for all replicas together; sign-ins are rare.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningInsert, Update

from event_trigger.db.engine import Sessions
from event_trigger.errors import Problem
from event_trigger.models import SignInFailure


@dataclass(frozen=True, slots=True)
class Allowance:
    """Allows `failures` at once, and one more after each `one_each` (GCRA)."""

    failures: int
    one_each: timedelta

    def wait(self, debt: timedelta) -> timedelta:
        """Returns the time until the next try; `debt` is the time until all are forgotten."""
        return max(timedelta(0), debt - (self.failures - 1) * self.one_each)


ACCOUNT_ALLOWANCE = Allowance(10, timedelta(seconds=30))
ADDRESS_ALLOWANCE = Allowance(50, timedelta(seconds=3))
REGISTRATION_ALLOWANCE = Allowance(
    20, timedelta(minutes=3)
)  # each costs a hash, and leaves an account


RECOVERY_ALLOWANCE = Allowance(3, timedelta(minutes=10))  # each may send somebody a mail
INVITATION_ALLOWANCE = Allowance(50, timedelta(minutes=5))  # of those that are mailed
RECOVERY_ADDRESS_ALLOWANCE = Allowance(20, timedelta(minutes=1))


class TooManyFailures(Problem):
    status, slug, title = 429, "too-many-failures", "Too many tries"
    default_detail = "There were too many tries. Wait as long as Retry-After says."

    def __init__(self, wait: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(headers={"Retry-After": str(ceil(wait.total_seconds()))})


@dataclass(frozen=True, slots=True)
class Subject:
    """An account or an IP address whose failures are counted; only its hash is stored."""

    key: bytes
    allowance: Allowance


def subjects_of(*, email: str, address: str | None) -> list[Subject]:
    """Returns the account, whether it exists or not, and then the address if there is one."""
    account = Subject(_hash(f"account {email}"), ACCOUNT_ALLOWANCE)
    if address is None:
        return [account]
    return [account, Subject(_hash(f"address {_network_of(address)}"), ADDRESS_ALLOWANCE)]


def lookups_of(*, user_id: int, address: str | None) -> list[Subject]:
    """Returns a user who asks for accounts by their addresses, and the user's own IP address.

    They are not those that sign in: who guesses here locks nobody out there.
    """
    asker = Subject(_hash(f"lookup by {user_id}"), ACCOUNT_ALLOWANCE)
    if address is None:
        return [asker]
    return [asker, Subject(_hash(f"lookup from {_network_of(address)}"), ADDRESS_ALLOWANCE)]


def recoveries_of(*, email: str, address: str | None) -> list[Subject]:
    """Returns an account, whether it exists or not, and the address that asks for its password.

    They are not those that sign in: who asks for mails locks nobody out.
    """
    account = Subject(_hash(f"recovery of {email}"), RECOVERY_ALLOWANCE)
    if address is None:
        return [account]
    caller = _hash(f"recovery from {_network_of(address)}")
    return [account, Subject(caller, RECOVERY_ADDRESS_ALLOWANCE)]


def invitations_of(project_id: int) -> list[Subject]:
    """Returns a project whose owners have invitations mailed, in the operator's name."""
    return [Subject(_hash(f"invitations of {project_id}"), INVITATION_ALLOWANCE)]


class Registrations:
    """Limits registrations per address; counts one at a time in this process.

    Registrations from one address lock the same row: they wait here, without holding a database
    connection each.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lock = asyncio.Lock()

    async def count(self, address: str | None) -> None:
        """Counts a registration; raises TooManyFailures if the address has used its allowance."""
        if address is None:
            return
        subject = Subject(_hash(f"registration {_network_of(address)}"), REGISTRATION_ALLOWANCE)
        async with self._lock, self._sessions.begin() as session:
            await FailureCounts(session).count_attempt([subject])


def _network_of(address: str) -> str:
    """Reduces an IPv6 address to its /64 network, all of which belongs to one subscriber."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((int(parsed) >> 64 << 64, 64)))


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="replace")).digest()


@dataclass(frozen=True)
class FailureCounts:
    session: AsyncSession

    async def check(self, subjects: Sequence[Subject]) -> None:
        """Raises TooManyFailures if one of the subjects has to wait."""
        debt = SignInFailure.clear_at - func.clock_timestamp()
        statement = select(SignInFailure.subject, debt).where(
            SignInFailure.subject.in_([one.key for one in subjects])
        )
        rows = await self.session.execute(statement)
        debts: dict[bytes, Any] = {key: debt for key, debt in rows}  # noqa: C416 - a Row is no pair
        waits = [one.allowance.wait(debts.get(one.key, timedelta(0))) for one in subjects]
        if max(waits) > timedelta(0):
            raise TooManyFailures(max(waits))

    async def count_attempt(self, subjects: Sequence[Subject]) -> None:
        """Counts a failure for each subject before the outcome is known: parallel tries all count.

        Raises TooManyFailures if one has to wait; then the caller must roll back.
        """
        for one in sorted(subjects, key=lambda one: one.key):  # a fixed order avoids deadlocks
            if await self.session.scalar(_count_statement(one)) is None:
                await self.check([one])
                raise TooManyFailures  # the wait has ended between the two statements

    async def forget(self, account: Subject, *others: Subject) -> None:
        """Deletes the account's failures after a right password, and uncounts the others' one."""
        for one in sorted((account, *others), key=lambda one: one.key):
            of_it = delete(SignInFailure).where(SignInFailure.subject == one.key)
            await self.session.execute(of_it if one is account else _uncount_statement(one))

    async def take_back(self, subjects: Sequence[Subject]) -> None:
        """Uncounts an attempt that was no failure."""
        for one in sorted(subjects, key=lambda one: one.key):
            await self.session.execute(_uncount_statement(one))

    async def purge(self) -> None:
        await self.session.execute(
            delete(SignInFailure).where(SignInFailure.clear_at < func.clock_timestamp())
        )


def _uncount_statement(one: Subject) -> Update:
    earlier = SignInFailure.clear_at - one.allowance.one_each
    return update(SignInFailure).where(SignInFailure.subject == one.key).values(clear_at=earlier)


def _count_statement(one: Subject) -> ReturningInsert[tuple[bytes]]:
    """Counts a failure and returns the subject's key, or no row if the subject has to wait.

    It is one statement, so that parallel tries lock the row one after another and all count.
    """
    now, each = func.clock_timestamp(), one.allowance.one_each
    row = insert(SignInFailure).values(subject=one.key, clear_at=now + each)
    return row.on_conflict_do_update(
        index_elements=[SignInFailure.subject],
        set_={"clear_at": func.greatest(SignInFailure.clear_at, now) + each},
        where=SignInFailure.clear_at - now <= (one.allowance.failures - 1) * each,
    ).returning(SignInFailure.subject)
