"""The audit of all triggers at once: does every planned instant have an event, or a reason?"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar, assert_never

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions
from event_trigger.db.replica.reads import Reading
from event_trigger.instants import instant_text
from event_trigger.reconciliation.reconcile import Difference, Discrepancy, Totals
from event_trigger.reconciliation.repository import Ledger
from event_trigger.reconciliation.statement import make_statement
from event_trigger.triggers.repository import Triggers

T = TypeVar("T")

MOST_SHOWN = 20  # differences of one trigger; one that goes wrong may go wrong every second


@dataclass(slots=True)
class Verification:
    """The sums of all triggers, and a sentence for each difference."""

    triggers: int = 0
    pending: int = 0
    account: Totals = field(default_factory=Totals)
    findings: list[str] = field(default_factory=list)

    @property
    def adds_up(self) -> bool:
        return not self.account.differences

    def summary(self) -> str:
        parts = [f"{self.account.fired} fired", f"{self.pending} pending"]
        parts += [f"{count} {reason}" for reason, count in sorted(self.account.unfired.items())]
        differences = len(self.account.differences)
        verdict = "It adds up." if self.adds_up else f"Differences: {differences}."
        return (
            f"{self.triggers} triggers, {self.account.planned} planned instants:"
            f" {', '.join(parts)}. {verdict}"
        )


async def verify(sessions: Sessions, *, keep_for: timedelta) -> Verification:
    """Draws up the account of every trigger, also of those deleted, for as long as is kept."""
    found = Verification()
    async with sessions() as session:
        keys = await Ledger(session).list_keys()
    for key in keys:
        async with sessions() as session:
            trigger = await Triggers(session).get(key)
            statement = await make_statement(
                _in(session), _at_once, key, trigger, keep_for=keep_for
            )
        found.triggers += 1
        found.pending += statement.pending
        found.account.add(statement.account)
        found.findings += _findings(key.id, statement.account.differences)
    return found


def _in(session: AsyncSession) -> Reading:
    """Reads everything in one session."""
    return lambda: nullcontext(session)


async def _at_once(work: Callable[[], T]) -> T:
    """An audit is alone in its process, so that it holds up nobody."""
    return work()


def _findings(trigger_id: int, differences: list[Difference]) -> Iterator[str]:
    for one in differences[:MOST_SHOWN]:
        yield f"trigger {trigger_id}: {_sentence(one)}"
    if len(differences) > MOST_SHOWN:
        yield f"trigger {trigger_id}: and {len(differences) - MOST_SHOWN} more"


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
            return f"on record as not fired, and yet accounted for otherwise: {span}"
        case Discrepancy.MISCOUNTED:
            return f"on record as not fired, but not as the schedule has it: {span}"
        case Discrepancy.UNPLANNED:
            return f"an event that no schedule planned: {span}"
        case Discrepancy.UNREADABLE:
            return f"its schedule can no longer be read, from {instant_text(found.first)}"
        case _:
            assert_never(found.kind)
