"""Lists the operations whose plain GETs are answered outside FastAPI."""

from collections.abc import Sequence

from event_trigger.auth.plain_reads import PlainDoor
from event_trigger.db.page_sessions import PageSessions
from event_trigger.db.plain_session import PlainReads
from event_trigger.events.plain_reads import PlainEvents
from event_trigger.events.window import Retention
from event_trigger.overview.plain_reads import PlainOverview
from event_trigger.triggers.plain_reads import PlainTriggers
from event_trigger.triggers.stored_rows import TriggerLookup
from event_trigger.web.dependencies import AppState


def plain_doors(state: AppState, reads: PlainReads, pages: PageSessions) -> Sequence[PlainDoor]:
    retention = Retention(state.settings.active_for, state.settings.keep_for)
    return (
        *PlainTriggers(reads, pages, TriggerLookup(reads), state.hooks).doors,
        *PlainEvents(reads, pages, state.clock, retention, state.cpu_bound).doors,
        *PlainOverview(reads, retention).doors,
    )
