"""Signs deliveries, so that receivers can verify the sender (Standard Webhooks, version 1.0)."""

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook


def sign(body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> dict[str, str]:
    """Returns the signature headers for exactly these bytes, with one signature for each secret."""
    at = at.astimezone(UTC)  # the library reads the wall clock of any other zone as UTC
    text = body.decode()
    signatures = [Webhook(one).sign(message_id, at, text) for one in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
