"""Makes deliveries as the service sends them, for the tests of a receiver."""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote

from standardwebhooks import Webhook

SECRET = "whsec_b25seSBmb3IgdGVzdHMsIG9mIG5vIGRlc3RpbmF0aW9u"  # noqa: S105
INSTALLATION = "0123456789abcdef"
_UNQUOTED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')

Format = Literal["cloudevents", "cloudevents_binary", "payload", "template"]


def sign(
    body: bytes, secret: str | Sequence[str], *, message_id: str, at: datetime | None = None
) -> dict[str, str]:
    """Gives the headers that sign these bytes, now or at another time, with each secret."""
    at = (at or datetime.now(timezone.utc)).astimezone(timezone.utc)  # as the library takes it
    secrets = [secret] if isinstance(secret, str) else secret
    signatures = [Webhook(_key_of(one)).sign(message_id, at, body.decode()) for one in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


@dataclass(frozen=True)
class Sample:
    """A delivery of an event; `body` and `headers` are what a receiver gets.

    With the format `template`, `data` is the text that the template made.
    """

    data: Any = None
    format: Format = "cloudevents"
    secret: str | Sequence[str] = SECRET
    type: str = "api"
    trigger: str | None = "nightly-report"
    trigger_id: int = 1
    trigger_name: str | None = None
    event_id: int = 1
    time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    scheduled_for: datetime | None = None
    is_test: bool = False
    replay_of: int | None = None
    source: str | None = None
    source_kind: str | None = None
    content_type: str = "application/json"
    sent_at: datetime | None = None
    message_id: str | None = None

    @cached_property
    def body(self) -> bytes:
        if self.format == "template":
            return str(self.data or "").encode()
        if self.format == "cloudevents":
            return _json({**self._attributes, "data": self.data})
        if self.data is None:
            return b"" if self.format == "cloudevents_binary" else b"{}"
        return _json(self.data)

    @cached_property
    def headers(self) -> dict[str, str]:
        id_ = self.message_id or f"evt_{INSTALLATION}_{self.event_id}"
        signed = sign(self.body, self.secret, message_id=id_, at=self.sent_at)
        told = {}
        if self.format == "cloudevents_binary":
            told = {
                f"ce-{name}": _header(value)
                for name, value in self._attributes.items()
                if name != "datacontenttype"
            }
        content = (
            "application/cloudevents+json" if self.format == "cloudevents" else self.content_type
        )
        told |= {"content-type": content} if self.body else {}
        return {**signed, "x-event-trigger-hops": "1", **told}

    @property
    def _attributes(self) -> Mapping[str, Any]:
        source = self.source or f"urn:event-trigger:{INSTALLATION}:trigger:{self.trigger_id}"
        attributes = {
            "specversion": "1.0",
            "id": str(self.event_id),
            "source": source,
            "type": f"event_trigger.{self.type}",
            "time": _text(self.time),
            "datacontenttype": "application/json",
            "istest": self.is_test,
            "triggerkey": self.trigger,
            "triggername": self.trigger_name,
            "scheduledfor": None if self.scheduled_for is None else _text(self.scheduled_for),
            "replayof": None if self.replay_of is None else str(self.replay_of),
            "sourcekind": self.source_kind,
        }
        return {name: value for name, value in attributes.items() if value is not None}


def _key_of(secret: str) -> bytes:
    return b64decode(secret.removeprefix("whsec_"))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _header(value: Any) -> str:
    return quote(str(value).lower() if isinstance(value, bool) else value, safe=_UNQUOTED)


def _text(instant: datetime) -> str:
    return instant.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
