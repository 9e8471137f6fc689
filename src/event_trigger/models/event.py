"""Declares the log of events, its partitions by time, and the tables of their counts."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Identity,
    Index,
    SmallInteger,
    Text,
    func,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base

CURRENT_XID = text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
OWN_XID = literal_column(CURRENT_XID.text, BigInteger)
COUNTED_HERE = "counted_xid % 4294967296 = CAST(CAST(event_partitions.xmin AS text) AS bigint)"


class EventType(StrEnum):
    SCHEDULED = "scheduled"
    API = "api"
    HEARTBEAT = "heartbeat"


class EventState(StrEnum):
    ACTIVE = "active"
    ARCHIVED = "archived"


class Event(Base):
    """A row is one firing of a trigger.

    It has no foreign key: it outlives its trigger, and is dropped with its partition. `hops`
    counts the deliveries that led to it, one from another. `xid` is the transaction that stored
    it: events below the oldest transaction that still runs are complete, which neither ids nor
    times can promise.

    `source` says who or what made it: see `events/source.py`. It and `source_kind` are null for
    scheduled events, and for those of versions before migration 0026.
    """

    __tablename__ = "events"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    triggered_at: Mapped[datetime] = mapped_column(
        primary_key=True, server_default=func.clock_timestamp()
    )
    owner_id: Mapped[int]
    trigger_id: Mapped[int]
    type: Mapped[str] = mapped_column(Text)
    scheduled_for: Mapped[datetime | None]
    payload: Mapped[dict[str, Any] | None]
    is_test: Mapped[bool] = mapped_column(Boolean)
    replay_of: Mapped[int | None]
    hops: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    source_kind: Mapped[str | None] = mapped_column(Text)
    source: Mapped[dict[str, Any] | None]
    xid: Mapped[int] = mapped_column(server_default=CURRENT_XID)

    __table_args__ = (
        # the kind comes before the time, so that events of a rare kind are found among millions
        Index(  # for admins; its condition keeps the planner from using it for other queries
            "ix_events_kind",
            "type",
            "is_test",
            "triggered_at",
            "id",
            postgresql_where=text("id > 0"),
        ),
        Index("ix_events_owner_kind", "shard", "owner_id", "type", "is_test", "triggered_at", "id"),
        Index(
            "ix_events_trigger_kind", "shard", "trigger_id", "type", "is_test", "triggered_at", "id"
        ),
        Index(  # of calls alone; counts by trigger read nothing else
            "ix_events_owner_source",
            "shard",
            "owner_id",
            "source_kind",
            "is_test",
            "triggered_at",
            "id",
            "trigger_id",
            postgresql_where=text("source_kind IS NOT NULL"),
        ),
        Index("ix_events_xid", "shard", "xid", "id", postgresql_where=text("xid > 0")),
        {"postgresql_partition_by": "RANGE (triggered_at)"},
    )


class EventPartition(Base):
    """A row is one partition of the events, `[starts_at, ends_at)`; closed ones take no events.

    `slot_counts` has the counts of its events from transactions before `counted_below`; if the
    partition was over at `counted_at`, also as a whole. `counted_xid` is the transaction that wrote
    the row: transaction numbers are a server's own, and a row restored from a dump was written by
    another one.

    Neighbouring closed partitions form a block; `block_starts_at` is the start of its first.
    """

    __tablename__ = "event_partitions"

    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    counted_at: Mapped[datetime | None]
    counted_below: Mapped[int | None]
    counted_xid: Mapped[int | None]
    block_starts_at: Mapped[datetime | None]


def counted_here() -> ColumnElement[bool]:
    """Tests whether a partition was counted on this server, and so by its transaction numbers."""
    return func.coalesce(literal_column(COUNTED_HERE, Boolean), False)


class EventCount(Base):
    """A row is the final count of one kind of a trigger's events in one closed partition."""

    __tablename__ = "event_counts"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    partition_starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    trigger_id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(Text, primary_key=True)
    is_test: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    owner_id: Mapped[int]
    count: Mapped[int]

    __table_args__ = (Index("ix_event_counts_owner", "shard", "owner_id", "partition_starts_at"),)


class BlockCount(Base):
    """A row is the sum of final counts over a block, which spares long windows most rows."""

    __tablename__ = "block_counts"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(primary_key=True)
    trigger_id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(Text, primary_key=True)
    is_test: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    count: Mapped[int]


class SlotCount(Base):
    """A row is part of a count: of one slot, a twelfth of a partition, or of a whole partition.

    It counts the events of transactions from the `below` of the part before up to its own. It
    never changes: events that are stored later are counted in a further part.
    """

    __tablename__ = "slot_counts"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    is_whole: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(primary_key=True)
    trigger_id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(Text, primary_key=True)
    is_test: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    below: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int]
