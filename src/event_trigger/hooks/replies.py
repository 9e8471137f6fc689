"""Defines answers to calls of hooks that make no event."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from event_trigger.web.schemas import ResponseModel

JSON, PLAIN_TEXT = "application/json", "text/plain; charset=utf-8"


class NotFired(ResponseModel):
    """The answer to a call while the trigger is paused."""

    message: Literal["The trigger is paused: no event was made"] = (
        "The trigger is paused: no event was made"
    )


class PingReceived(ResponseModel):
    """The answer to a ping of a heartbeat."""

    message: Literal["Ping received"] = "Ping received"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a question of a sender, or to a call that is accepted and makes no event."""

    status: int = 200
    body: bytes = b""
    media_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(value: Mapping[str, object], *, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), JSON)


NOT_FIRED_WHILE_PAUSED = json_reply(NotFired().model_dump(), status=202)
PINGED = Reply(body=PingReceived().model_dump_json().encode(), media_type=JSON)
PING_RECEIVED = json_reply({"message": "Ping received: no event was made"})
WOULD_FIRE = Reply(media_type=JSON)
