"""Declares the table of what heartbeats became: silent, and alive again."""

from datetime import datetime

from sqlalchemy import Identity, Index, SmallInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class HeartbeatChange(Base):
    """A row is one change of a heartbeat, stored with the event that tells it.

    The changes of one heartbeat alternate. `deadline_at` is the missed deadline, if there was one:
    it is the `scheduled_for` of the event.
    """

    __tablename__ = "heartbeat_changes"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner_id: Mapped[int]
    trigger_id: Mapped[int]
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    deadline_at: Mapped[datetime | None]
    event_id: Mapped[int]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_heartbeat_changes_trigger", "shard", "trigger_id", "id"),
        Index("ix_heartbeat_changes_changed_at", "changed_at"),
    )
