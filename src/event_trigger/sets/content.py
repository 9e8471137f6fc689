"""Shows a set in the form of a file, and tags this state of it."""

import json
from dataclasses import dataclass

from event_trigger.models import TriggerStatus
from event_trigger.sets.specs import named, trigger_spec
from event_trigger.sets.state import SetState
from event_trigger.web.entity_tags import etag
from event_trigger.web.mask import MASK
from event_trigger.web.schemas import JsonObject


@dataclass(frozen=True, slots=True)
class ShownSet:
    """The content of a set as JSON, and its `ETag`."""

    json: str
    etag: str


def show(state: SetState) -> ShownSet:
    """Takes some 20 µs a member, so call it off the event loop.

    The tag also tells secrets apart, and members that the content leaves out.
    """
    text = json.dumps(_content_of(state))
    sealed = sorted((one.id, one.sealed.data) for one in state.destinations.values())
    return ShownSet(text, etag("set", state.set_id, text, sorted(state.triggers), sealed))


def _content_of(state: SetState) -> JsonObject:
    """Writes a set so that putting it back changes nothing; stars keep the values of headers.

    Members that have lost their keys by hand are left out: a file could not name them.
    """
    keys = state.keys
    triggers = {}
    for one in state.triggers.values():
        spec = trigger_spec(one, one.details, named(one.destinations, keys))
        if one.status == TriggerStatus.PAUSED:
            spec["status"] = one.status
        triggers[one.key] = spec
    destinations = {}
    for row in state.destinations.values():
        stars = dict.fromkeys(row.header_names, MASK)
        destinations[row.key] = row.spec | ({"headers": stars} if stars else {})
    calendars: dict[str | None, JsonObject] = {
        one.key: one.spec for one in state.calendars.values()
    }
    return {
        "triggers": _sorted(triggers),
        "destinations": _sorted(destinations),
        "calendars": _sorted(calendars),
    }


def _sorted(members: dict[str | None, JsonObject]) -> JsonObject:
    return {key: members[key] for key in sorted(one for one in members if one is not None)}
