"""Describes the origin of a hook's event: address, method, query, and some of the headers."""

import re
from urllib.parse import unquote

from event_trigger.events.source import EventSource, SourceKind
from event_trigger.hooks.acceptance import Acceptance
from event_trigger.hooks.requests import HookRequest
from event_trigger.triggers.schemas.accepting import may_be_secret, may_be_secret_parameter

MOST_HEADERS = 50
LONGEST_VALUE = 1_000  # characters of a header
LONGEST_QUERY = 2_000
MASK = "***"
_CLOUD_EVENTS = "ce-"
_DESCRIBING = frozenset(
    {
        *("content-type", "user-agent"),
        *("x-github-event", "x-github-delivery", "x-github-hook-id"),
        *("x-github-hook-installation-target-id", "x-github-hook-installation-target-type"),
        *("x-gitlab-event", "x-gitlab-event-uuid", "x-gitlab-instance", "x-gitlab-webhook-uuid"),
        *("x-gitea-event", "x-gitea-event-type", "x-gitea-delivery"),
        *("x-forgejo-event", "x-forgejo-event-type", "x-forgejo-delivery"),
        *("x-event-key", "x-hook-uuid", "x-request-uuid", "x-attempt-number"),  # Bitbucket
        *("x-atlassian-webhook-identifier", "x-atlassian-webhook-retry"),
        *("x-shopify-topic", "x-shopify-shop-domain", "x-shopify-event-id"),
        *("x-shopify-webhook-id", "x-shopify-api-version", "x-shopify-triggered-at"),
        *("linear-event", "linear-delivery"),
        *("x-slack-retry-num", "x-slack-retry-reason"),
        *("webhook-id", "webhook-timestamp", "svix-id", "svix-timestamp"),
        *("aeg-event-type", "aeg-subscription-name", "aeg-delivery-count", "aeg-data-version"),
        *("x-wc-webhook-topic", "x-wc-webhook-event", "x-wc-webhook-resource"),
        *("x-amz-sns-message-type", "x-amz-sns-topic-arn", "x-goog-resource-state"),
        *("sentry-hook-resource", "x-discourse-event", "x-discourse-event-type"),
    }
)
_NAME = re.compile("(?:^|;)([^=;]*)=")  # of a parameter; a few senders separate them by `;`


def source_of(accepts: Acceptance, request: HookRequest) -> EventSource:
    """Describes the origin of a hook's event; never keeps credentials or signatures."""
    return EventSource(
        SourceKind.HOOK,
        address=request.address,
        method=request.method,
        query=_masked(request.query[:LONGEST_QUERY])[:LONGEST_QUERY] if request.query else None,
        headers=_headers(accepts, request) or None,
    )


def _headers(accepts: Acceptance, request: HookRequest) -> dict[str, str]:
    """Returns the headers that describe the call; a repeated one is joined, as RFC 9110 says."""
    kept: dict[str, str] = {}
    for name, value in request.headers:
        if name in kept:
            kept[name] = f"{kept[name]}, {value}"[:LONGEST_VALUE]
        elif len(kept) < MOST_HEADERS and _describes(accepts, name):
            kept[name] = value[:LONGEST_VALUE]
    return kept


def _describes(accepts: Acceptance, name: str) -> bool:
    if name == accepts.secret_header:
        return False
    if name in _DESCRIBING:
        return True
    is_named = name in accepts.headers or name.startswith(_CLOUD_EVENTS)
    return is_named and not may_be_secret(name)


def _masked(query: str) -> str:
    """Returns the query as it was sent, but for the values of parameters that may be secrets."""
    return "&".join(map(_shown, query.split("&")))


def _shown(part: str) -> str:
    """Masks everything behind the first name of a secret: its value may have a `;` too."""
    for found in _NAME.finditer(part):
        if found.end() < len(part) and may_be_secret_parameter(unquote(found[1]).lower()):
            return part[: found.end()] + MASK
    return part
