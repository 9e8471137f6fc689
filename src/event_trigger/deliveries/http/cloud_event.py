"""Writes a delivery as a CloudEvent 1.0, in JSON or in headers, the same in every attempt."""

from datetime import datetime
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import NamedTuple
from urllib.parse import quote

from event_trigger.instants import instant_text

CLOUD_EVENT_MEDIA_TYPE = "application/cloudevents+json"
_UNQUOTED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_text_of = lru_cache(maxsize=64)(instant_text)  # the events of a batch share their instants


class CloudEvent(NamedTuple):
    """The content of a request; `payload` is JSON text and is sent exactly as it was stored."""

    id: str
    source: str
    type: str
    time: datetime
    payload: str | None
    trigger_key: str | None = None
    trigger_name: str | None = None
    scheduled_for: datetime | None = None
    is_test: bool = False
    replay_of: int | None = None
    source_kind: str | None = None
    subject: str | None = None

    def body(self) -> bytes:
        """Writes the event in structured mode: one JSON object, with the payload as `data`."""
        members = [
            f'"{name}":{value if name == "istest" else quoted(value)}'
            for name, value in self._attributes().items()
        ]
        return f'{{{",".join(members)},"data":{self.payload or "null"}}}'.encode()

    def headers(self) -> dict[str, str]:
        """Writes the attributes in binary mode (HTTP binding, section 3.1).

        The payload is the body there, and the content type has its own header. What a header cannot
        hold is percent-encoded (section 3.1.3.2).
        """
        attributes = self._attributes()
        del attributes["datacontenttype"]
        return {f"ce-{name}": quote(value, safe=_UNQUOTED) for name, value in attributes.items()}

    def _attributes(self) -> dict[str, str]:
        attributes = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": f"event_trigger.{self.type}",
            "time": _text_of(self.time),
            "datacontenttype": "application/json",
            "istest": "true" if self.is_test else "false",
        }
        if self.subject is not None:
            attributes["subject"] = self.subject
        if self.trigger_key is not None:
            attributes["triggerkey"] = self.trigger_key
        if self.trigger_name is not None:
            attributes["triggername"] = self.trigger_name
        if self.scheduled_for is not None:
            attributes["scheduledfor"] = _text_of(self.scheduled_for)
        if self.replay_of is not None:
            attributes["replayof"] = str(self.replay_of)
        if self.source_kind is not None:
            attributes["sourcekind"] = self.source_kind
        return attributes


def source_of(kind: str, id_: int, *, installation: str, public_url: str | None) -> str:
    """Names a `trigger` or a `destination` uniquely among all installations.

    Without an installation it is a path: so began deliveries of versions that had none.
    """
    if not installation:
        return f"/{kind}s/{id_}"
    if public_url is not None:
        return f"{public_url}/{kind}s/{id_}"
    return f"urn:event-trigger:{installation}:{kind}:{id_}"


def source_of_notices(*, installation: str, public_url: str | None) -> str:
    """Names the installation; the `subject` of a notice names the thing in it."""
    return public_url or f"urn:event-trigger:{installation}"
