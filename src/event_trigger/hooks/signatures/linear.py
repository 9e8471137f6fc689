"""Verifies calls of Linear, whose signed time is in the body.

https://linear.app/developers/webhooks#securing-webhooks
"""

from collections.abc import Sequence
from datetime import datetime

from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.headers import HeaderValue, check_time
from event_trigger.hooks.signatures.json_members import member_of
from event_trigger.hooks.signatures.mac import Mac

_MAC = Mac((HeaderValue("linear-signature"),))


class Linear:
    """An HMAC over the body, in which `webhookTimestamp` are milliseconds since 1970."""

    def check(self, secrets: Sequence[str], request: HookRequest, now: datetime, /) -> None:
        """Raises NotSigned; reads the body only once its signature is right."""
        _MAC.check(secrets, request, now)
        at = member_of(request.body, "webhookTimestamp")
        if at is not None:
            check_time(str(at), now=now)
