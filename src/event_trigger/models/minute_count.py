"""Declares the tables of counts by minute, and the SQL that adds to them."""

from datetime import datetime
from enum import StrEnum
from math import floor, log

from sqlalchemy import Float, Index, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base
from event_trigger.models.event import CURRENT_XID

ALL_PROJECTS = 0  # the owner of sums over all projects: no project has this id
NO_DURATION = 0  # the bucket of durations that are zero or unknown
MERGED_PART = 0
BUCKETS_PER_DOUBLING = 4  # so a bucket's middle is within 9 % of all durations in it


class CountedMeasure(StrEnum):
    EVENTS = "events"  # by type
    LAG = "lag_ms"  # of scheduled events, tests left out; in buckets
    UNFIRED = "unfired"  # instants, by reason
    ATTEMPTS = "attempts"  # by outcome and destination, in buckets of their duration


class MinuteCount(Base):
    """A row is part of one count of a project in one minute: parts have to be added up.

    `series` is the event's type, the reason or the attempt's outcome. `bucket` is that of a
    duration (`bucket_of`), and `longest_ms` the longest one. Events are counted by a job: their
    `part` is 0, and project 0 in shard 0 has the sums of all. All else is counted by the
    transactions that store it, whose number is `part`, so that none waits for another. A job adds
    up those of past minutes, and their `part` is 0 then.

    A minute that two partitions of events share is counted in two rows: `minute` is never before
    the start of the partition.
    """

    __tablename__ = "minute_counts"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    owner_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    measure: Mapped[str] = mapped_column(Text, primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    series: Mapped[str] = mapped_column(Text, primary_key=True)
    destination_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bucket: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int]
    longest_ms: Mapped[float | None] = mapped_column(Float)

    __table_args__ = (  # for sums over all projects, and for purging
        Index("ix_minute_counts_minute", "shard", "measure", "minute"),
    )


class MinutePartition(Base):
    """A row is a partition whose events are counted by minute, as far as it says.

    Counted are those before `counted_until` of transactions before `below`; once that is the
    partition's end, `below` moves on. `xid` is the transaction that wrote the row: transaction
    numbers are a server's own, and a row restored from a dump was written by another one.
    """

    __tablename__ = "minute_partitions"

    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime]
    counted_until: Mapped[datetime]
    below: Mapped[int]
    xid: Mapped[int]


_KEY = "shard, owner_id, measure, minute, series, destination_id, bucket, part"
OWN_PART = CURRENT_XID.text


def minute_of(instant: str) -> str:
    """Returns SQL for the start of an instant's minute, in any time zone of the session."""
    return f"date_bin('1 minute', {instant}, CAST('epoch' AS timestamptz))"


def bucket_of(milliseconds: str) -> str:
    """Returns SQL for the bucket of a duration: 1 for less than about a millisecond."""
    octaves = f"ln(CAST(GREATEST({milliseconds}, 1) AS float8)) / ln(CAST(2 AS float8))"
    return f"CAST(1 + floor({BUCKETS_PER_DOUBLING} * {octaves}) AS smallint)"


def bucket_holding(milliseconds: float) -> int:
    """Returns the bucket of a duration, as `bucket_of` does in SQL."""
    return 1 + floor(BUCKETS_PER_DOUBLING * log(max(milliseconds, 1)) / log(2))


def middle_of(bucket: int) -> float:
    """Returns the middle of a bucket, in milliseconds."""
    return float(2 ** ((bucket - 0.5) / BUCKETS_PER_DOUBLING))


def add_to_minutes(counted: str) -> str:
    """Returns SQL that adds counts, given as a query of all columns of `minute_counts`."""
    return f"""
        INSERT INTO minute_counts ({_KEY}, count, longest_ms)
        {counted}
        ON CONFLICT ({_KEY}) DO UPDATE SET count = minute_counts.count + excluded.count,
            longest_ms = GREATEST(minute_counts.longest_ms, excluded.longest_ms)
    """
