"""Signs deliveries so that a receiver knows who sent them: Standard Webhooks, version 1.0."""

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook


def sign(body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> dict[str, str]:
    """The headers that prove these very bytes; with several secrets, a signature by each."""
    at = at.astimezone(UTC)  # the library takes any other zone's wall clock for UTC's
    text = body.decode()
    signatures = [Webhook(one).sign(message_id, at, text) for one in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
