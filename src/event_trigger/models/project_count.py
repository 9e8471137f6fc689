"""Declares the table of counts by project and state, and when they were counted."""

from datetime import datetime

from sqlalchemy import Float, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class ProjectCount(Base):
    """A row is the number of a project's triggers, deliveries or destinations in one state.

    `state` is a status of triggers (or "failing"), of deliveries, or a state of destinations: no
    two of them have the same name. `since` is when the oldest of these deliveries was queued.
    Project 0 has the sums of its shard. A state without a row has the number 0.
    """

    __tablename__ = "project_counts"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    owner_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int]
    since: Mapped[datetime | None]


class CountPass(Base):
    """The only row says how old the kept counts may be.

    All that was committed before `counted_at` is in `project_counts` and `minute_counts`. Once all
    transactions before `next_xid` have ended, that is true of `next_at`. The last pass began at
    `passed_at`, and took `seconds`.
    """

    __tablename__ = "count_passes"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    passed_at: Mapped[datetime]
    counted_at: Mapped[datetime | None]
    next_at: Mapped[datetime]
    next_xid: Mapped[int]
    seconds: Mapped[float] = mapped_column(Float)
