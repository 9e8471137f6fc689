"""Declares the table of API keys, which machines call with."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class ApiKey(Base):
    """A row is one API key: its scopes, its expiry and when it was last used.

    Only the key's SHA-256 is stored, and a prefix by which its user recognises it. If
    `trigger_ids` is not null, the key works for those triggers only. A null `project_id` is its
    user's own project: the version before projects wrote it. `expiry_noticed` is the `expires_at`
    that listening destinations were told of.
    """

    __tablename__ = "api_keys"
    audited_as, audited_secrets = "key", ()
    audited = ("name", "prefix", "scopes", "trigger_ids", "expires_at")

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    trigger_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    expires_at: Mapped[datetime | None]
    expiry_noticed: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_api_keys_user", "user_id", "id"),)
