"""The request model of actions on triggers."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from event_trigger.actions.schemas import ChosenRows, filter_in_body
from event_trigger.auth.scopes import Scope
from event_trigger.triggers.schemas.requests import DestinationNames, Tags, TriggerQuery


class TriggerAction(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    DELETE = "delete"
    FIRE = "fire"
    TEST = "test"
    TAG = "tag"
    UNTAG = "untag"
    SET_DESTINATIONS = "set_destinations"


_OPERATING = {TriggerAction.PAUSE, TriggerAction.RESUME, TriggerAction.FIRE, TriggerAction.TEST}
_TAGGING = {TriggerAction.TAG, TriggerAction.UNTAG}


class TriggerActions(ChosenRows):
    """An action on up to 10,000 triggers."""

    action: Annotated[TriggerAction, Field(strict=False)]
    filter: Annotated[
        TriggerQuery | None,
        filter_in_body(TriggerQuery),
        Field(description="The filters of `GET /triggers`; `{}` is all triggers."),
    ] = None
    tags: (
        Annotated[
            Tags, Field(min_length=1, description="The tags that `tag` adds, or `untag` removes.")
        ]
        | None
    ) = None
    destinations: (
        Annotated[DestinationNames, Field(description="All destinations after `set_destinations`.")]
        | None
    ) = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if (self.tags is not None) != (self.action in _TAGGING):
            raise ValueError("Send tags with the actions tag and untag, and only with them")
        rewires = self.action is TriggerAction.SET_DESTINATIONS
        if (self.destinations is not None) != rewires:
            raise ValueError("Send destinations with set_destinations, and only with it")
        return self

    @property
    def needed_scopes(self) -> list[Scope]:
        """The scopes of the single operation, and that of the list whose filter is used."""
        operates = self.action in _OPERATING
        scopes = [Scope.TRIGGERS_FIRE if operates else Scope.TRIGGERS_WRITE]
        return scopes if self.filter is None else [*scopes, Scope.TRIGGERS_READ]
