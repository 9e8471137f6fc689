"""The log of firings, cut into partitions by time, and the counts that outlive a busy hour."""

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


class EventState(StrEnum):
    ACTIVE = "active"
    ARCHIVED = "archived"


class Event(Base):
    """One firing. It has no foreign key: it outlives its trigger, and goes with its partition.

    `hops` counts the deliveries that led to it, one from another.

    `xid` is the transaction that stored it: below the oldest one that is still running, events are
    complete, which neither ids nor times can promise.
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
    xid: Mapped[int] = mapped_column(server_default=CURRENT_XID)

    __table_args__ = (
        # the kind comes before the time, so that the few of a rare kind are found among millions
        Index(  # for admins; the condition keeps it for those who ask for it
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
        Index("ix_events_xid", "shard", "xid", "id", postgresql_where=text("xid > 0")),
        {"postgresql_partition_by": "RANGE (triggered_at)"},
    )


class EventPartition(Base):
    """A partition of the events, `[starts_at, ends_at)`; closed ones take no more rows.

    `slot_counts` has the counts of what transactions before `counted_below` stored in it; as a
    whole, too, if it was over at `counted_at`. `counted_xid` is the transaction that wrote the row:
    such numbers are a server's own, and that of a row that came with a dump is another.

    Some closed ones that follow each other are a block, which bears the name of its first.
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
    """Whether what a partition's row says of its slots is of this server's transactions."""
    return func.coalesce(literal_column(COUNTED_HERE, Boolean), False)


class EventCount(Base):
    """The final counts of one closed partition: what aggregates read instead of the events."""

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
    """The sum of the final counts of a block, so that long windows have fewer rows to add."""

    __tablename__ = "block_counts"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(primary_key=True)
    trigger_id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(Text, primary_key=True)
    is_test: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    count: Mapped[int]


class SlotCount(Base):
    """A part of the count of one slot, a twelfth of a partition, or of one that is over as a whole.

    It is of the transactions between the `below` of the part before and its own. Nothing of it ever
    changes: what is stored later has a part of its own.
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
