"""What firing by a call answers."""

from typing import Literal

from event_trigger.web.schemas import ResponseModel


class Fired(ResponseModel):
    message: Literal["Event triggered"] = "Event triggered"
