"""Masks a destination's own headers in a response: a receiver's echo must not reveal them."""

from collections.abc import Mapping

from event_trigger.web.http_headers import EVENT_HEADERS
from event_trigger.web.mask import MASK

_SHORTEST_SECRET = 8  # characters: shorter values occur in any text by chance
_NOT_SECRET = frozenset({"accept", "accept-encoding", "content-length", "content-type", "host"}) | {
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    *EVENT_HEADERS,
}


def masked(text: str, sent: Mapping[str, str]) -> str:
    """Replaces the values of `sent` headers, and the credentials after `Bearer`, with stars."""
    if not text:
        return text
    for name, value in sent.items():
        if name.lower() not in _NOT_SECRET:
            for secret in (value, value.rpartition(" ")[2]):
                if len(secret) >= _SHORTEST_SECRET:
                    text = text.replace(secret, MASK)
    return text
