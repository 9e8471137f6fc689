"""Reads the id that marks a sender's repetitions of a call, where its kind has one."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from event_trigger.errors import FieldError, Invalid
from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.json_members import member_of
from event_trigger.hooks.signatures.standard import signed_id_header
from event_trigger.models import Verify

MAX_ID_CHARACTERS = 255
_ANYBODYS = ("webhook-id", "idempotency-key")
# the first that was sent counts
_HEADERS: Mapping[Verify, tuple[str, ...]] = MappingProxyType(
    {
        Verify.GITHUB: (
            "x-github-delivery",
            "x-forgejo-delivery",
            "x-gitea-delivery",
            "x-request-uuid",  # Bitbucket
            "x-atlassian-webhook-identifier",  # Jira
        ),
        Verify.GITLAB: ("idempotency-key",),
        Verify.SHOPIFY: ("x-shopify-webhook-id",),
        Verify.LINEAR: ("linear-delivery",),
        Verify.TWILIO: ("i-twilio-idempotency-token",),
        Verify.HMAC: _ANYBODYS,
        Verify.TOKEN: _ANYBODYS,
        Verify.BASIC: _ANYBODYS,
        Verify.NONE: _ANYBODYS,
    }
)
# of bodies that were signed; these senders give no id in a header
_MEMBERS: Mapping[Verify, str] = MappingProxyType(
    {Verify.STRIPE: "id", Verify.SLACK: "event_id", Verify.DISCORD: "id"}
)


@dataclass(frozen=True, slots=True)
class SentId:
    """The place of the ids in the calls of one hook: the first of `headers` that was sent counts.

    No `headers` at all stand for the one that the signature covers, where a kind signs ids.
    """

    headers: tuple[str, ...] | None
    member: str | None

    @classmethod
    def of(cls, verify: Verify, options: Mapping[str, Any]) -> Self:
        """Reads the stored `details.hook`."""
        if verify == Verify.STANDARD_WEBHOOKS:
            return cls(None, None)
        named = options.get("id_header")
        headers = _HEADERS.get(verify, ()) if named is None else (named.lower(),)
        return cls(headers, _MEMBERS.get(verify))

    def read(self, request: HookRequest) -> str | None:
        """Returns the id of a call; raises Invalid if a header has one that cannot be kept."""
        headers = (signed_id_header(request),) if self.headers is None else self.headers
        for name in headers:
            if (sent := request.one(name)) is not None:
                return _kept(sent, name)
        found = None if self.member is None else member_of(request.body, self.member)
        return found if isinstance(found, str) and _is_id(found) else None


def _kept(sent: str, name: str) -> str:
    if not _is_id(sent):
        detail = f"Send an id of 1 to {MAX_ID_CHARACTERS} characters, without U+0000."
        raise Invalid(detail, errors=[FieldError("parameter", name, detail)])
    return sent


def _is_id(text: str) -> bool:
    return 1 <= len(text) <= MAX_ID_CHARACTERS and "\0" not in text
