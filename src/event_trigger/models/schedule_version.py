"""The schedules that a trigger had before its present one, to judge the past by."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class ScheduleVersion(Base):
    """A schedule that has ended; it planned its instants in `(starts_after, ends_at]`.

    The present one is the trigger's row itself. No foreign key: it outlives a deleted trigger.
    `zone_rules` is the digest of the rules that it was planned by, None if they are unknown;
    `moved_to` that of the newer ones that ended it, if no edit did.
    """

    __tablename__ = "schedule_versions"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    trigger_id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int]
    details: Mapped[dict[str, Any]]
    anchor_at: Mapped[datetime]
    starts_after: Mapped[datetime]
    ends_at: Mapped[datetime]
    zone_rules: Mapped[str | None] = mapped_column(Text)
    moved_to: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index("ix_schedule_versions_ends_at", "ends_at"),)
