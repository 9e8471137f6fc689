"""Declares the table of planned instants that have no event, with the reason."""

from datetime import datetime

from sqlalchemy import Identity, Index, SmallInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class UnfiredRange(Base):
    """A row is all instants of one schedule version from `first_at` to `last_at`, inclusive.

    Ranges keep the table small: eight hours of a one-second trigger are one row.
    """

    __tablename__ = "unfired_ranges"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner_id: Mapped[int]
    trigger_id: Mapped[int]
    version: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    count: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_unfired_ranges_trigger", "shard", "trigger_id", "last_at"),
        Index("ix_unfired_ranges_recorded_at", "recorded_at"),
    )
