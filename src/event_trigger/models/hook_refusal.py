"""Declares the table of refused calls of hooks, by minute and reason."""

from datetime import datetime

from sqlalchemy import Index, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class HookRefusal(Base):
    """A row is all calls of one trigger's hook that were refused for one reason in one minute.

    `status` is the answer's. `method` and `address` are those of the last call, at `last_at`.
    """

    __tablename__ = "hook_refusals"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    trigger_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(Text, primary_key=True)
    owner_id: Mapped[int]
    status: Mapped[int] = mapped_column(SmallInteger)
    method: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    count: Mapped[int]
    last_at: Mapped[datetime]

    __table_args__ = (Index("ix_hook_refusals_minute", "minute"),)
