"""The request model of actions on deliveries."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from event_trigger.actions.schemas import ChosenRows, filter_in_body
from event_trigger.deliveries.schemas import DeliveryQuery


class DeliveryAction(StrEnum):
    REDELIVER = "redeliver"
    CANCEL = "cancel"


class DeliveryActions(ChosenRows):
    """An action on up to 10,000 deliveries."""

    action: Annotated[DeliveryAction, Field(strict=False)]
    filter: Annotated[
        DeliveryQuery | None,
        filter_in_body(DeliveryQuery),
        Field(description="The filters of `GET /deliveries`; `{}` is all deliveries."),
    ] = None
