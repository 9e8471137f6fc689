"""Declares the table of answers that calls with an `Idempotency-Key` were given."""

from datetime import datetime

from sqlalchemy import Boolean, LargeBinary, SmallInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class IdempotencyKey(Base):
    """A row is one key used for one trigger, with the hash of the body and the event it made."""

    __tablename__ = "idempotency_keys"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    trigger_id: Mapped[int] = mapped_column(primary_key=True)
    is_test: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    event_id: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
