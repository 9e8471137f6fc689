"""Makes guessing slow: a few wrong passwords are free, then there is one guess now and then.

In PostgreSQL, so that it holds for all replicas together: signing in is rare.
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
from sqlalchemy.sql.dml import ReturningInsert

from event_trigger.db.engine import Sessions
from event_trigger.errors import Problem
from event_trigger.models import SignInFailure


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many failures at once, and one more each time that such a while has passed (GCRA)."""

    failures: int
    one_each: timedelta

    def wait(self, debt: timedelta) -> timedelta:
        """How long until the next try, with `debt` until all failures are forgotten."""
        return max(timedelta(0), debt - (self.failures - 1) * self.one_each)


OF_ACCOUNT = Allowance(10, timedelta(seconds=30))
OF_ADDRESS = Allowance(50, timedelta(seconds=3))
OF_REGISTRATION = Allowance(20, timedelta(minutes=3))  # each takes a hash, and an account stays


class TooManyFailures(Problem):
    status, slug, title = 429, "too-many-failures", "Too many tries"
    default_detail = "There were too many tries. Wait as long as Retry-After says."

    def __init__(self, wait: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(headers={"Retry-After": str(ceil(wait.total_seconds()))})


@dataclass(frozen=True, slots=True)
class Subject:
    """An account or an address, whose failures are counted; only a hash of it is kept."""

    key: bytes
    allowance: Allowance


def subjects_of(*, email: str, address: str | None) -> list[Subject]:
    """The account first, whether it exists or not."""
    account = Subject(_hash(f"account {email}"), OF_ACCOUNT)
    if address is None:
        return [account]
    return [account, Subject(_hash(f"address {_household(address)}"), OF_ADDRESS)]


class Registrations:
    """Counts the accounts that are asked for, one at a time in this process.

    A crowd from one address shares a row: it waits here for its turn, and not each with a
    connection to the database.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._turn = asyncio.Lock()

    async def count(self, address: str | None) -> None:
        """Raises TooManyFailures when too many accounts were asked for from one address."""
        if address is None:
            return
        subject = Subject(_hash(f"registration {_household(address)}"), OF_REGISTRATION)
        async with self._turn, self._sessions.begin() as session:
            await Failures(session).take([subject])


def _household(address: str) -> str:
    """Whoever has an IPv6 address has 2^64 of them."""
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
class Failures:
    session: AsyncSession

    async def check(self, subjects: Sequence[Subject]) -> None:
        """Raises TooManyFailures if one of them has to wait."""
        debt = SignInFailure.clear_at - func.clock_timestamp()
        statement = select(SignInFailure.subject, debt).where(
            SignInFailure.subject.in_([one.key for one in subjects])
        )
        rows = await self.session.execute(statement)
        debts: dict[bytes, Any] = {key: debt for key, debt in rows}  # noqa: C416 - a Row is no pair
        waits = [one.allowance.wait(debts.get(one.key, timedelta(0))) for one in subjects]
        if max(waits) > timedelta(0):
            raise TooManyFailures(max(waits))

    async def take(self, subjects: Sequence[Subject]) -> None:
        """Counts a failure of each before it is known to be one, so that none slips by in a crowd.

        Raises TooManyFailures, and then nothing must be committed, if one of them has to wait.
        """
        for one in sorted(subjects, key=lambda one: one.key):  # in order: no two wait crosswise
            if await self.session.scalar(_taking(one)) is None:
                await self.check([one])
                raise TooManyFailures  # its turn has just come, and a try again will find so

    async def forgive(self, account: Subject, *others: Subject) -> None:
        """After a right password: forgets an account's failures, and what was taken of others."""
        for one in sorted((account, *others), key=lambda one: one.key):
            of_it = SignInFailure.subject == one.key
            earlier = SignInFailure.clear_at - one.allowance.one_each
            await self.session.execute(
                delete(SignInFailure).where(of_it)
                if one is account
                else update(SignInFailure).where(of_it).values(clear_at=earlier)
            )

    async def purge(self) -> None:
        await self.session.execute(
            delete(SignInFailure).where(SignInFailure.clear_at < func.clock_timestamp())
        )


def _taking(one: Subject) -> ReturningInsert[tuple[bytes]]:
    """Counts a failure and gives its subject; gives nothing if that has to wait.

    One statement: those that come at once lock the row in turn, and each sees the one before.
    """
    now, each = func.clock_timestamp(), one.allowance.one_each
    row = insert(SignInFailure).values(subject=one.key, clear_at=now + each)
    return row.on_conflict_do_update(
        index_elements=[SignInFailure.subject],
        set_={"clear_at": func.greatest(SignInFailure.clear_at, now) + each},
        where=SignInFailure.clear_at - now <= (one.allowance.failures - 1) * each,
    ).returning(SignInFailure.subject)
