"""Verifies calls that are signed as Standard Webhooks says, under its names or those of Svix.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.headers import HeaderValue
from event_trigger.hooks.signatures.mac import Mac
from event_trigger.models import MacEncoding
from event_trigger.triggers.hook_secrets import standard_key


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """Standard Webhooks, whose headers also have names of Svix, which began it."""

    def check(self, secrets: Sequence[str], request: HookRequest, now: datetime, /) -> None:
        """Raises NotSigned; signatures of versions that are not known are skipped."""
        _MACS[_names_in(request)].check(secrets, request, now)


def signed_id_header(request: HookRequest) -> str:
    """Names the header of the id that the signature covers; nobody has signed the other one."""
    return f"{_names_in(request)}-id"


def _names_in(request: HookRequest) -> str:
    return "webhook" if request.all("webhook-signature") else "svix"


def _mac_of(names: str) -> Mac:
    return Mac(
        (HeaderValue(f"{names}-signature", "v1,", " "),),
        signs="{id}.{timestamp}.{body}",
        encoding=MacEncoding.BASE64,
        timestamp=HeaderValue(f"{names}-timestamp"),
        id_header=f"{names}-id",
        key=standard_key,
    )


_MACS = {names: _mac_of(names) for names in ("webhook", "svix")}
