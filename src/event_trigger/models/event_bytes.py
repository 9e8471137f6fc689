"""Declares the tables of the bytes that the events of a project take."""

from datetime import datetime

from sqlalchemy import Boolean, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class EventBytes(Base):
    """A row is the bytes of a project's events in one partition, or in all if `is_total`.

    It lags behind firing by seconds. `starts_at` is the partition's, and minus infinity for a
    total. `reached` is the limit that a total has reached; null while it has not. Firing only reads
    totals with `reached`, of which there are hardly any.
    """

    __tablename__ = "event_bytes"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    is_total: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bytes: Mapped[int]
    reached: Mapped[int | None]

    __table_args__ = (
        Index(
            "ix_event_bytes_reached",
            "shard",
            "owner_id",
            postgresql_where=text("reached IS NOT NULL"),
        ),
    )


class MeasuredPartition(Base):
    """A row is a partition whose events of transactions before `below` are in `event_bytes`.

    `xid` is the transaction that wrote the row: transaction numbers are a server's own, and a row
    restored from a dump was written by another one.
    """

    __tablename__ = "measured_partitions"

    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    below: Mapped[int]
    xid: Mapped[int]
