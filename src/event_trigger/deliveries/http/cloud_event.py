"""Writes the body of a delivery: a CloudEvent 1.0 in JSON, the same bytes in every attempt."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

CLOUD_EVENT_MEDIA_TYPE = "application/cloudevents+json"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """The content of a body; `payload` is JSON text and is sent exactly as it was stored."""

    id: str
    source: str
    type: str
    time: datetime
    payload: str | None
    trigger_name: str | None = None
    scheduled_for: datetime | None = None
    is_test: bool = False
    replay_of: int | None = None

    def body(self) -> bytes:
        attributes: dict[str, object] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": f"event_trigger.{self.type}",
            "time": _rfc3339(self.time),
            "datacontenttype": "application/json",
            "istest": self.is_test,
        }
        if self.trigger_name is not None:
            attributes["triggername"] = self.trigger_name
        if self.scheduled_for is not None:
            attributes["scheduledfor"] = _rfc3339(self.scheduled_for)
        if self.replay_of is not None:
            attributes["replayof"] = str(self.replay_of)
        envelope = _encode(attributes)
        return f'{envelope[:-1]},"data":{self.payload or "null"}}}'.encode()


def source_of(kind: str, id_: int, *, installation: str, public_url: str | None) -> str:
    """Names a `trigger` or a `destination` uniquely among all installations.

    Without an installation it is a path: so began deliveries of versions that had none.
    """
    if not installation:
        return f"/{kind}s/{id_}"
    if public_url is not None:
        return f"{public_url}/{kind}s/{id_}"
    return f"urn:event-trigger:{installation}:{kind}:{id_}"


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
