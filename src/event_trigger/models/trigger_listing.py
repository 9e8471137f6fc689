"""Declares the tables by which lists of triggers are sorted and found, which firing never writes.

They are tables and not indexes of `triggers`, since each firing would write to those.
"""

from datetime import datetime

from sqlalchemy import Index, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class TriggerSortKey(Base):
    """A row has the values of one trigger that lists are sorted by, besides those in its own row.

    `sort_name` is the name in lower case. `last_fired_at` is copied by a job, so it may be old.
    """

    __tablename__ = "trigger_sort_keys"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    trigger_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_id: Mapped[int]
    sort_name: Mapped[str | None] = mapped_column(Text(collation="C"))
    last_fired_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_trigger_sort_keys_name", "shard", "owner_id", "sort_name", "trigger_id"),
        Index("ix_trigger_sort_keys_fired", "shard", "owner_id", "last_fired_at", "trigger_id"),
        Index(  # names are searched in the order of ids, without reading rows of triggers
            "ix_trigger_sort_keys_id", "shard", "owner_id", "trigger_id", "sort_name"
        ),
    )


class TriggerDestination(Base):
    """A row is one destination that one trigger names."""

    __tablename__ = "trigger_destinations"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    owner_id: Mapped[int] = mapped_column(primary_key=True)
    destination_id: Mapped[int] = mapped_column(primary_key=True)
    trigger_id: Mapped[int] = mapped_column(primary_key=True)

    __table_args__ = (Index("ix_trigger_destinations_trigger", "shard", "trigger_id"),)
