"""Makes hooks, and signs calls without the library that verifies them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from event_trigger.hooks.requests import HookRequest
from tests.support.triggers import make_api

BODY = b'{"action": "published"}'
_NOW = timedelta()


@dataclass(frozen=True)
class MadeHook:
    """A trigger's hook, as the answer that made it shows it."""

    trigger_id: int
    url: str
    secret: str

    @property
    def token(self) -> str:
        return self.url.rpartition("/")[2]


async def make_hook(client: httpx.AsyncClient, verify: str, **more: Any) -> MadeHook:
    details = {"hook": {"verify": verify}, **more.pop("details", {})}
    return hook_of(await make_api(client, details=details, **more))


def hook_of(written: dict[str, Any]) -> MadeHook:
    return MadeHook(written["id"], written["hook_url"], written["hook_secret"])


def standard(
    hook: MadeHook, body: bytes = BODY, *, name: str = "msg_1", age: timedelta = _NOW
) -> dict[str, str]:
    """Gives the headers of Standard Webhooks for a call that was signed `age` ago."""
    at = int((datetime.now(UTC) - age).timestamp())
    key = base64.b64decode(hook.secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{name}.{at}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def github(hook: MadeHook, body: bytes = BODY, *, name: str = "72d3162e") -> dict[str, str]:
    digest = hmac.new(hook.secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": name}


def request_of(
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    method: str = "POST",
    url: str = "https://service.test/hooks/x",
    query: str = "",
    address: str | None = None,
) -> HookRequest:
    """Describes a call as the service reads it."""
    return HookRequest(method, lambda: url, query, headers, body, address)


async def events_of(client: httpx.AsyncClient, hook: MadeHook) -> list[Any]:
    """Gives the payloads of the trigger's events, oldest first."""
    answer = await client.get("/events", params={"trigger_id": hook.trigger_id})
    assert answer.status_code == 200, answer.text
    return [event["payload"] for event in answer.json()[::-1]]


def is_fired(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and json.loads(answer.content) == {
        "message": "Event triggered"
    }
