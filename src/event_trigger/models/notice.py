"""Declares the tables of notices: changes to tell of, the listening destinations, sent notices."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Identity, Index, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base

NOTICE_TYPE = "notice."  # and the kind: the `event_type` of a delivery that carries a notice


class NoticeKind(StrEnum):
    DESTINATION_OPENED = "destination.opened"
    DESTINATION_CLOSED = "destination.closed"
    DESTINATION_DISABLED = "destination.disabled"
    DELIVERY_EXHAUSTED = "delivery.exhausted"
    TRIGGER_SET_ASIDE = "trigger.set_aside"
    INSTANTS_MISSED = "instants.missed"
    TRIGGER_SILENT = "trigger.silent"
    KEY_EXPIRING = "key.expiring"
    BACKLOG_FULL = "backlog.full"


class SubjectKind(StrEnum):
    TRIGGER = "trigger"
    DESTINATION = "destination"
    KEY = "key"
    PROJECT = "project"


class NoticeChange(Base):
    """A row is one change that listening destinations have to be told of.

    The transaction that makes the change stores it. A job puts the changes of one kind and subject
    together, and makes a notice of them: then `told_at` is set. The row stays for some minutes,
    since by it the job knows when it has last told of the subject.

    `owner_id` is the project in which it happened. `count` is the number of instants, deliveries or
    changes. `hops` is the largest number of hops of the events that it is about.
    """

    __tablename__ = "notice_changes"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner_id: Mapped[int]
    kind: Mapped[str] = mapped_column(Text)
    subject_kind: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[int]
    count: Mapped[int]
    hops: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    details: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    told_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_notice_changes_waiting",
            "shard",
            "owner_id",
            "kind",
            postgresql_where=text("told_at IS NULL"),
        ),
        Index(
            "ix_notice_changes_told",
            "shard",
            "told_at",
            postgresql_where=text("told_at IS NOT NULL"),
        ),
    )


class NoticeListener(Base):
    """A row is a destination that hears of changes: `hears` has their kinds.

    It is derived from the destination's row, and is found without knowing the shard. `user_id` is
    the admin who let it hear of all projects; null for one that hears of its own project.
    """

    __tablename__ = "notice_listeners"

    destination_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_id: Mapped[int]
    hears: Mapped[list[str]] = mapped_column(ARRAY(Text))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))

    __table_args__ = (
        Index("ix_notice_listeners_owner", "owner_id"),
        Index("ix_notice_listeners_user", "user_id", postgresql_where=text("user_id IS NOT NULL")),
    )


class Notice(Base):
    """A row is one notice, as it was sent to the destinations of a project.

    `owner_id` is the project that hears of it, and `project_id` the one in which it happened.
    The `id` is of the sequence of events, so that no event and no notice have the same: a delivery
    carries either as its `event_id`, and a payload is stored by it. `data` is that payload.
    """

    __tablename__ = "notices"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_id: Mapped[int]
    project_id: Mapped[int]
    kind: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    data: Mapped[dict[str, Any]]

    __table_args__ = (
        Index("ix_notices_listed", "shard", "owner_id", "id"),
        Index("ix_notices_at", "at"),
    )
