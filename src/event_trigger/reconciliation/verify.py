"""Verifies all triggers: every planned instant has one event, or a reason on record."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar, assert_never

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions
from event_trigger.db.replica.reads import OpenRead
from event_trigger.db.shards import OwnedId
from event_trigger.instants import instant_text
from event_trigger.reconciliation.reconcile import Difference, Discrepancy, Totals
from event_trigger.reconciliation.repository import InstantRecords
from event_trigger.reconciliation.statement import make_statement
from event_trigger.triggers.repository import Triggers

T = TypeVar("T")

MAX_SHOWN = 20  # differences of one trigger, which may have one every second


@dataclass(slots=True)
class Verification:
    """The sums of all triggers, and a sentence for each difference."""

    triggers: int = 0
    pending: int = 0
    totals: Totals = field(default_factory=Totals)
    findings: list[str] = field(default_factory=list)

    @property
    def adds_up(self) -> bool:
        return not self.totals.differences

    def summary(self) -> str:
        planned = self.totals.planned
        parts = [f"{self.totals.fired} fired", f"{self.pending} pending"]
        parts += [f"{count} {reason}" for reason, count in sorted(self.totals.unfired.items())]
        differences = len(self.totals.differences)
        verdict = "It adds up." if self.adds_up else f"Differences: {differences}."
        all_ = f"{counted(self.triggers, 'trigger')}, {counted(planned, 'planned instant')}"
        return f"{all_}: {', '.join(parts)}. {verdict}"


async def verify(sessions: Sessions, *, keep_for: timedelta) -> Verification:
    """Accounts for every trigger, deleted ones too, over all the time that is kept."""
    found = Verification()
    async with sessions() as session:
        keys = await InstantRecords(session).list_keys()
    for key in keys:
        async with sessions() as session:
            trigger = await Triggers(session).get(key)
            statement = await make_statement(
                _in(session), _at_once, key, trigger, keep_for=keep_for
            )
        if statement.totals.differences and not await _is_kept(sessions, key):
            continue  # its project was deleted while it was read
        found.triggers += 1
        found.pending += statement.pending
        found.totals.add(statement.totals)
        found.findings += _findings(key.id, statement.totals.differences)
    return found


async def _is_kept(sessions: Sessions, key: OwnedId) -> bool:
    async with sessions() as session:
        return await InstantRecords(session).is_kept(key)


def _in(session: AsyncSession) -> OpenRead:
    """Makes all reads use one session."""
    return lambda: nullcontext(session)


async def _at_once(work: Callable[[], T]) -> T:
    """Computes in the event loop: this command serves no requests."""
    return work()


def counted(number: int, what: str) -> str:
    """Writes a number of things: "1 trigger", "2 triggers"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _findings(trigger_id: int, differences: list[Difference]) -> Iterator[str]:
    for one in differences[:MAX_SHOWN]:
        yield f"trigger {trigger_id}: {_sentence(one)}"
    if len(differences) > MAX_SHOWN:
        yield f"trigger {trigger_id}: and {len(differences) - MAX_SHOWN} more"


def _sentence(found: Difference) -> str:
    span = instant_text(found.first)
    if found.last != found.first:
        span = f"{found.count} instants from {span} to {instant_text(found.last)}"
    match found.kind:
        case Discrepancy.UNEXPLAINED:
            return f"neither an event nor a reason for {span}"
        case Discrepancy.REPEATED:
            return f"{found.count} events for {span}"
        case Discrepancy.CONTRADICTORY:
            return f"on record as not fired, but also as fired or as not fired twice: {span}"
        case Discrepancy.MISCOUNTED:
            return f"on record as not fired, but not as the schedule plans it: {span}"
        case Discrepancy.UNPLANNED:
            return f"an event that no schedule planned: {span}"
        case Discrepancy.UNREADABLE:
            return f"its schedule can no longer be read, from {instant_text(found.first)}"
        case _:
            assert_never(found.kind)
