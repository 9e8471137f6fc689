"""Declares the tables of sets: named groups of triggers and destinations that one file owns."""

from datetime import datetime
from typing import Any

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


class FinishedMember(Base):
    """A row is a trigger of a set that has completed, and was deleted because of `on_completion`.

    The set's file does not create it again, as long as it has the same schedule there: `details`,
    without the schema.
    """

    __tablename__ = "finished_members"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    owner_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    set_name: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    details: Mapped[dict[str, Any]]
