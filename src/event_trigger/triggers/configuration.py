"""The part of a trigger that its user writes, apart from the state that firing moves on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from event_trigger.models import OnCompletion, Trigger
from event_trigger.triggers.schemas.requests import TriggerBody
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.web.changes import is_same
from event_trigger.web.entity_tags import etag


@dataclass(frozen=True, slots=True)
class Configuration:
    """The fields of a trigger that its user chooses; `destinations` are ids."""

    key: str | None
    name: str | None
    details: dict[str, Any]
    payload: dict[str, Any] | None
    tags: list[str]
    destinations: list[int]
    on_completion: OnCompletion

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def store_in(self, trigger: Trigger) -> None:
        """Sets the columns that differ; a value of the same meaning keeps its stored spelling."""
        before = configuration_of(trigger)
        for name in (one.name for one in fields(self)):
            value = getattr(self, name)
            if not is_same(value, getattr(before, name)):
                setattr(trigger, name, value)
        if trigger.on_completion == OnCompletion.KEEP:
            trigger.on_completion = None


def configuration_of(trigger: Trigger) -> Configuration:
    return Configuration(
        key=trigger.key,
        name=trigger.name,
        details=trigger.details,
        payload=trigger.payload,
        tags=trigger.tags,
        destinations=trigger.destinations,
        on_completion=OnCompletion(trigger.on_completion or OnCompletion.KEEP),
    )


def configuration_in(body: TriggerBody, destinations: Sequence[int]) -> Configuration:
    """Reads a whole body, in which absent fields mean their default."""
    return Configuration(
        key=body.key,
        name=body.name,
        details=body.details.as_stored(),
        payload=body.payload,
        tags=body.tags,
        destinations=[*destinations],
        on_completion=OnCompletion(body.on_completion or OnCompletion.KEEP),
    )


def etag_of(trigger: Trigger | TriggerRow) -> str:
    """Tags the configuration: each change by a person moves `updated_at`, and no firing does.

    The deletion of a destination only takes it from `destinations`.
    """
    return etag("trigger", trigger.id, trigger.updated_at, trigger.destinations)
