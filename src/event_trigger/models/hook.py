"""Declares the table of hooks: URLs that fire a trigger without one of our tokens."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class Verify(StrEnum):
    """How calls of a hook are verified: as a sender documents it, or as options say."""

    STANDARD_WEBHOOKS = "standard_webhooks"
    GITHUB = "github"
    GITLAB = "gitlab"
    STRIPE = "stripe"
    SLACK = "slack"
    SHOPIFY = "shopify"
    LINEAR = "linear"
    TWILIO = "twilio"
    DISCORD = "discord"
    SENDGRID = "sendgrid"
    HMAC = "hmac"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    BASIC = "basic"
    NONE = "none"


class HookMethod(StrEnum):
    """The methods that a hook may accept."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"


class MacAlgorithm(StrEnum):
    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"


class MacEncoding(StrEnum):
    HEX = "hex"
    BASE64 = "base64"


class Hook(Base):
    """A row is the hook of one trigger, looked up by the SHA-256 of its token.

    `owner_id` gives the shard of the trigger. `options` is a copy of its `details.hook`, and
    for a heartbeat also `pings`, true; null means that it has `verify` alone. `sealed` holds the
    token and the signing secret, and `former` the replaced secrets that still count, encrypted
    under the key named `key_id`.
    """

    __tablename__ = "hooks"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    trigger_id: Mapped[int] = mapped_column(unique=True)
    owner_id: Mapped[int] = mapped_column(index=True)
    verify: Mapped[str] = mapped_column(Text)
    options: Mapped[dict[str, Any] | None]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    former: Mapped[bytes | None] = mapped_column(LargeBinary)
    key_id: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
