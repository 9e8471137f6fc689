"""Verifies a delivery, and reads it, whatever the format of its destination is."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol
from urllib.parse import unquote

from standardwebhooks.webhooks import (
    EmptyWebhookSecretError,
    Webhook,
    WebhookVerificationError,
)

from event_trigger_client.errors import EventTriggerError
from event_trigger_client.requests import Name

_STRUCTURED, _BINARY, _TEST = "application/cloudevents+json", "ce-", "test_"
_EVENT_ID = re.compile(r"evt_(?:[0-9a-z]+_)?([0-9]+)")


class NotVerified(EventTriggerError):
    """A request that the service did not send, or that is not of the last five minutes.

    Answer it with 401.
    """


class Headers(Protocol):
    """The headers of a request, as FastAPI, Flask, Django and a dict have them."""

    def items(self) -> Iterable[tuple[str, str]]: ...


@dataclass(frozen=True)
class Received:
    """A delivery that was verified.

    `id` is the same whenever it is sent again, and no other's: remember it. `data` is the payload,
    or what a template made of it: a text, unless its content type is JSON. A request without a
    body has no data. Formats say more or less: of `payload` and `template` all that follows `data`
    is None, but `is_test` is True for the sample of a destination's test.
    """

    id: str
    sent_at: datetime
    event_id: int | None
    data: Any
    type: str | None = None
    trigger: Name | None = None
    trigger_id: int | None = None
    trigger_name: str | None = None
    is_test: bool | None = None
    time: datetime | None = None
    scheduled_for: datetime | None = None
    replay_of: int | None = None
    source: str | None = None
    subject: str | None = None


def receive(body: bytes | str, headers: Headers, secret: str | Sequence[str]) -> Received:
    """Verifies and reads a delivery; raises NotVerified.

    `body` is what came, byte for byte. `secret` may be several: after one was replaced, the old
    and the new one.
    """
    given = {name.lower(): value for name, value in headers.items()}
    text = _verified(body, given, [secret] if isinstance(secret, str) else secret)
    kind = given.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _STRUCTURED:
        event = json.loads(text)
        data = event.get("data")
    else:
        event = _in_headers(given)
        data = _content(text, kind)
    id_, at = given["webhook-id"], int(given["webhook-timestamp"])
    found = _EVENT_ID.fullmatch(id_)
    event_id = None if found is None else int(found[1])
    told = _attributes(event) if event else {"is_test": id_.startswith(_TEST) or None}
    return Received(id_, datetime.fromtimestamp(at, tz=timezone.utc), event_id, data, **told)


def _verified(body: bytes | str, headers: Mapping[str, str], secrets: Sequence[str]) -> str:
    at = headers.get("webhook-timestamp", "")
    if not (at.isascii() and at.isdigit()):
        raise NotVerified("The request is not signed.")
    try:
        text = body if isinstance(body, str) else body.decode()
    except UnicodeDecodeError:
        raise NotVerified("The body is not what was signed.") from None
    refusals = [_refusal(one, text, headers) for one in _webhooks(secrets)]
    if None not in refusals:
        raise NotVerified(f"{refusals[-1]}.")
    return text


def _refusal(webhook: Webhook, text: str, headers: Mapping[str, str]) -> str | None:
    try:
        webhook.verify(text, dict(headers), json_parse=False)
    except WebhookVerificationError as error:
        return str(error)
    except ValueError:  # of a signature that is none
        return "No matching signature found"
    return None


def _webhooks(secrets: Sequence[str]) -> list[Webhook]:
    """Makes a verifier of each secret; an empty one is none, as of an old secret that is gone."""
    try:
        found = [Webhook(one) for one in secrets if one]
    except (ValueError, EmptyWebhookSecretError):
        found = []
    if not found:
        raise ValueError("Give receive() the destination's secret, which begins with whsec_.")
    return found


def _in_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Gives the attributes of the format `cloudevents_binary`."""
    return {
        name.removeprefix(_BINARY): unquote(value)
        for name, value in headers.items()
        if name.startswith(_BINARY)
    }


def _content(text: str, kind: str) -> Any:
    if not text:
        return None
    if kind == "application/json" or kind.endswith("+json"):
        return json.loads(text)
    return text


def _attributes(event: Mapping[str, Any]) -> dict[str, Any]:
    source = str(event.get("source", ""))
    last = source.replace("/", ":").rpartition(":")
    kind = last[0].rpartition(":")[2]
    trigger_id = int(last[2]) if kind in {"trigger", "triggers"} and last[2].isdigit() else None
    replayed = event.get("replayof")
    return {
        "type": str(event.get("type")).removeprefix("event_trigger."),
        "trigger": event.get("triggerkey") or trigger_id,
        "trigger_id": trigger_id,
        "trigger_name": event.get("triggername"),
        "is_test": str(event.get("istest")).lower() == "true",
        "time": _instant(event.get("time")),
        "scheduled_for": _instant(event.get("scheduledfor")),
        "replay_of": None if replayed is None else int(replayed),
        "source": source,
        "subject": event.get("subject"),
    }


def _instant(text: str | None) -> datetime | None:
    """Reads RFC 3339 as the service writes it, which also Python 3.10 does but for the `Z`."""
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))
