"""Declares the table of hooks: URLs that fire a trigger without one of our tokens."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class Verify(StrEnum):
    STANDARD_WEBHOOKS = "standard_webhooks"
    GITHUB = "github"
    NONE = "none"


class Hook(Base):
    """A row is the hook of one trigger, looked up by the SHA-256 of its token.

    `owner_id` gives the shard of the trigger. `sealed` holds the token and the signing secret,
    encrypted under the key named `key_id`.
    """

    __tablename__ = "hooks"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    trigger_id: Mapped[int] = mapped_column(unique=True)
    owner_id: Mapped[int] = mapped_column(index=True)
    verify: Mapped[str] = mapped_column(Text)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    key_id: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
