"""Declares the table of former schedules, by which past instants are explained."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class ScheduleVersion(Base):
    """A row is one former schedule of a trigger, for the instants in `(starts_after, ends_at]`.

    The present schedule is in the trigger's own row. There is no foreign key: a version outlives
    a deleted trigger. `zone_rules` is the digest of the time zone rules that it was planned by,
    null if unknown; `moved_to` is the digest of the newer rules that ended it, null if an edit did.
    `excluded_days` and `shift_seconds` are those that the trigger had then.
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
    excluded_days: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    shift_seconds: Mapped[int | None] = mapped_column(Integer)

    __table_args__ = (Index("ix_schedule_versions_ends_at", "ends_at"),)
