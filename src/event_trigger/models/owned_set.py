"""Declares the table of sets: named groups of triggers and destinations that one file owns."""

from datetime import datetime

from sqlalchemy import Identity, Index, SmallInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class OwnedSet(Base):
    """A row is one set. Its triggers and destinations have its name in `set_name`.

    `updated_at` is the last change by its file; changes by hand are not counted.
    """

    __tablename__ = "sets"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner_id: Mapped[int]
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_sets_name", "shard", "owner_id", "name", unique=True),
        Index("ix_sets_listed", "shard", "owner_id", "id"),
    )
