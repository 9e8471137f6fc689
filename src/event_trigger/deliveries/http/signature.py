"""Signs deliveries, so that receivers can verify the sender (Standard Webhooks, version 1.0)."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

_SECRET_PREFIX = "whsec_"  # noqa: S105


def sign(body: bytes, *, message_id: str, at: datetime, secrets: Sequence[str]) -> dict[str, str]:
    """Returns the signature headers for exactly these bytes, with one signature for each secret."""
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join([_signature(signed, one) for one in secrets]),
    }


def _signature(signed: bytes, secret: str) -> str:
    keyed = _keyed(secret).copy()
    keyed.update(signed)
    return f"v1,{b64encode(keyed.digest()).decode()}"


@lru_cache(maxsize=256)  # secrets of destinations that are called again and again
def _keyed(secret: str) -> hmac.HMAC:
    return hmac.new(b64decode(secret.removeprefix(_SECRET_PREFIX)), digestmod="sha256")
