"""Describes the kinds of verification as data: what each sender signs, and where it puts it.

Sources are the senders' own documents; `tests/support/senders.py` signs as their libraries do.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol

from event_trigger.hooks.requests import HookRequest
from event_trigger.hooks.signatures.credentials import Basic, Token
from event_trigger.hooks.signatures.headers import HeaderValue
from event_trigger.hooks.signatures.linear import Linear
from event_trigger.hooks.signatures.mac import Mac
from event_trigger.hooks.signatures.public_keys import (
    PublicKey,
    is_valid_ecdsa,
    is_valid_ed25519,
    strict_base64,
)
from event_trigger.hooks.signatures.standard import StandardWebhooks
from event_trigger.hooks.signatures.twilio import Twilio
from event_trigger.models import MacEncoding, Verify


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
