"""Describes the kinds of verification as data: what each sender signs, its ids, and advice to it.

Sources are the senders' own documents; `tests/support/senders.py` signs as their libraries do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol, Self

from event_trigger.errors import FieldError, Invalid
from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.credentials import Basic, Token
from event_trigger.hooks.signatures.headers import HeaderValue
from event_trigger.hooks.signatures.mac import (
    Linear,
    Mac,
    StandardWebhooks,
    member_of,
    signed_id_header,
)
from event_trigger.hooks.signatures.public_keys import (
    PublicKey,
    is_valid_ecdsa,
    is_valid_ed25519,
    strict_base64,
)
from event_trigger.hooks.signatures.twilio import Twilio
from event_trigger.models import MacEncoding, Verify

MAX_ID_CHARACTERS = 255
_ANYBODYS = ("webhook-id", "idempotency-key")
# the first that was sent counts
_ID_HEADERS: Mapping[Verify, tuple[str, ...]] = MappingProxyType(
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
_ID_MEMBERS: Mapping[Verify, str] = MappingProxyType(
    {Verify.STRIPE: "id", Verify.SLACK: "event_id", Verify.DISCORD: "id"}
)
_IN_TIME = "and send it within 5 minutes"
INSTRUCTIONS: Mapping[Verify, str] = MappingProxyType(
    {
        Verify.STANDARD_WEBHOOKS: (
            "Sign the call with the hook's secret as Standard Webhooks says (webhook-id,"
            f" webhook-timestamp, webhook-signature), {_IN_TIME}."
        ),
        Verify.GITHUB: (
            "Send X-Hub-Signature-256: 'sha256=' and the HMAC-SHA256 of the body in hexadecimal"
            " digits, under the hook's secret."
        ),
        Verify.GITLAB: "Send the hook's secret in X-Gitlab-Token, as GitLab's secret token.",
        Verify.STRIPE: (
            "Send Stripe-Signature: 't=', the time, ',v1=' and the HMAC-SHA256 of '{time}.{body}',"
            f" under the endpoint's signing secret, {_IN_TIME}."
        ),
        Verify.SLACK: (
            "Send X-Slack-Request-Timestamp, and X-Slack-Signature: 'v0=' and the HMAC-SHA256 of"
            f" 'v0:{{timestamp}}:{{body}}', under the app's signing secret, {_IN_TIME}."
        ),
        Verify.SHOPIFY: (
            "Send X-Shopify-Hmac-SHA256: the HMAC-SHA256 of the body in base64, under the app's"
            " client secret."
        ),
        Verify.LINEAR: (
            "Send Linear-Signature: the HMAC-SHA256 of the body in hexadecimal digits, under the"
            f" webhook's signing secret, {_IN_TIME} of its webhookTimestamp."
        ),
        Verify.TWILIO: (
            "Send X-Twilio-Signature, made with the account's auth token of the hook's full URL"
            " and the form's fields; sign another body through bodySHA256 in the URL."
        ),
        Verify.DISCORD: (
            "Send X-Signature-Timestamp, and X-Signature-Ed25519: the signature of the timestamp"
            f" and the body by the application's key, {_IN_TIME}."
        ),
        Verify.SENDGRID: (
            "Send X-Twilio-Email-Event-Webhook-Timestamp and -Signature, made of the timestamp and"
            f" the body with the Event Webhook's key, {_IN_TIME}."
        ),
        Verify.HMAC: (
            "Send the HMAC that details.hook of the trigger describes, under the hook's secret;"
            " where a time is signed, within 5 minutes."
        ),
        Verify.TOKEN: (
            "Send the hook's secret as 'Authorization: Bearer …', or in the header that"
            " details.hook of the trigger names."
        ),
        Verify.BASIC: "Send the hook's user name and secret by HTTP's basic authentication.",
    }
)
# by which HTTP clients learn how to answer a 401 (RFC 9110, section 11.6.1)
CHALLENGES: Mapping[Verify, str] = MappingProxyType(
    {Verify.TOKEN: "Bearer", Verify.BASIC: 'Basic realm="hook", charset="UTF-8"'}
)


class Scheme(Protocol):
    """A way to verify calls."""

    def check(self, secrets: Sequence[str], request: HookRequest, now: datetime, /) -> None:
        """Raises NotSigned unless the call was signed with one of the secrets."""


PRESETS: Mapping[Verify, Scheme] = MappingProxyType(
    {
        Verify.STANDARD_WEBHOOKS: StandardWebhooks(),
        Verify.GITHUB: Mac(  # the others: Bitbucket and Jira, and older Gitea and Forgejo
            (
                HeaderValue("x-hub-signature-256", "sha256="),
                HeaderValue("x-hub-signature", "sha256="),
                HeaderValue("x-forgejo-signature"),
                HeaderValue("x-gitea-signature"),
            )
        ),
        Verify.GITLAB: Token("x-gitlab-token", scheme=None),
        Verify.STRIPE: Mac(
            (HeaderValue("stripe-signature", "v1=", ","),),
            signs="{timestamp}.{body}",
            timestamp=HeaderValue("stripe-signature", "t=", ","),
        ),
        Verify.SLACK: Mac(
            (HeaderValue("x-slack-signature", "v0="),),
            signs="v0:{timestamp}:{body}",
            timestamp=HeaderValue("x-slack-request-timestamp"),
        ),
        Verify.SHOPIFY: Mac((HeaderValue("x-shopify-hmac-sha256"),), encoding=MacEncoding.BASE64),
        Verify.LINEAR: Linear(),
        Verify.TWILIO: Twilio(),
        Verify.DISCORD: PublicKey(
            HeaderValue("x-signature-ed25519"),
            HeaderValue("x-signature-timestamp"),
            decode=bytes.fromhex,
            is_valid=is_valid_ed25519,
        ),
        Verify.SENDGRID: PublicKey(
            HeaderValue("x-twilio-email-event-webhook-signature"),
            HeaderValue("x-twilio-email-event-webhook-timestamp"),
            decode=strict_base64,
            is_valid=is_valid_ecdsa,
        ),
    }
)


def scheme_of(verify: Verify, options: Mapping[str, Any]) -> Scheme:
    """Returns the scheme of a kind, made of the hook's options if it has some."""
    match verify:
        case Verify.HMAC:
            named = {name: options.get(name) for name in _MAC_OPTIONS}
            return _mac_of(**named)
        case Verify.TOKEN:
            header = options.get("header")
            return Token() if header is None else Token(header.lower(), scheme=None)
        case Verify.BASIC:
            return Basic(options["username"])
    return PRESETS[verify]


_MAC_OPTIONS = (
    "header",
    "algorithm",
    "encoding",
    "prefix",
    "signs",
    "timestamp_header",
    "id_header",
)


@lru_cache(maxsize=1024)
def _mac_of(
    *,
    header: str,
    algorithm: str,
    encoding: str,
    prefix: str | None,
    signs: str,
    timestamp_header: str | None,
    id_header: str | None,
) -> Mac:
    return Mac(
        (HeaderValue(header.lower(), prefix or ""),),
        signs=signs,
        algorithm=algorithm,
        encoding=MacEncoding(encoding),
        timestamp=None if timestamp_header is None else HeaderValue(timestamp_header.lower()),
        id_header=None if id_header is None else id_header.lower(),
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
        headers = _ID_HEADERS.get(verify, ()) if named is None else (named.lower(),)
        return cls(headers, _ID_MEMBERS.get(verify))

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
