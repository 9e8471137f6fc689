"""Takes a destination's own headers out of what its receiver answered: an echo is not a reading."""

from collections.abc import Mapping

MASK = "********"
_SHORTEST = 8  # what is shorter is in any text by chance
_OPEN = frozenset({"accept", "accept-encoding", "content-length", "content-type", "host"}) | {
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
}


def masked(text: str, sent: Mapping[str, str]) -> str:
    """Replaces the values that were sent, and the credentials in `Bearer …`, by stars."""
    for name, value in sent.items():
        if name.lower() not in _OPEN:
            for secret in (value, value.rpartition(" ")[2]):
                if len(secret) >= _SHORTEST:
                    text = text.replace(secret, MASK)
    return text
