"""The response model of a call that fired."""

from typing import Literal

from event_trigger.web.schemas import ResponseModel


class Fired(ResponseModel):
    message: Literal["Event triggered"] = "Event triggered"
