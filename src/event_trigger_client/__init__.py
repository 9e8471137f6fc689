"""A client of Event Trigger Platform: calls it, follows its events, and verifies its deliveries."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from event_trigger_client.version import __version__ as __version__

if TYPE_CHECKING:
    from event_trigger_client.answers import Fired as Fired
    from event_trigger_client.asynchronous.client import AsyncClient as AsyncClient
    from event_trigger_client.errors import EventTriggerError as EventTriggerError
    from event_trigger_client.errors import Problem as Problem
    from event_trigger_client.errors import Unreachable as Unreachable
    from event_trigger_client.receiving import NotVerified as NotVerified
    from event_trigger_client.receiving import Received as Received
    from event_trigger_client.receiving import receive as receive
    from event_trigger_client.schedules import After as After
    from event_trigger_client.schedules import At as At
    from event_trigger_client.schedules import Cron as Cron
    from event_trigger_client.schedules import Heartbeat as Heartbeat
    from event_trigger_client.schedules import Hook as Hook
    from event_trigger_client.schedules import Interval as Interval
    from event_trigger_client.schedules import OnCall as OnCall
    from event_trigger_client.schedules import RRule as RRule
    from event_trigger_client.synchronous.client import Client as Client

_HOMES = {
    "answers": ("Fired",),
    "asynchronous.client": ("AsyncClient",),
    "errors": ("EventTriggerError", "Problem", "Unreachable"),
    "receiving": ("NotVerified", "Received", "receive"),
    "schedules": ("After", "At", "Cron", "Heartbeat", "Hook", "Interval", "OnCall", "RRule"),
    "synchronous.client": ("Client",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imports what is asked for: a command that calls nobody does without httpx."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
