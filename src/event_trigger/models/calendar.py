"""Declares the tables of calendars, and of the triggers that name them."""

from datetime import date, datetime

from sqlalchemy import Date, Identity, Index, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class Calendar(Base):
    """A row is one named list of dates, on which schedules that name its `key` do not fire.

    `dates` are written as ISO 8601, ascending. With `ics`, they are the dates of that iCalendar
    file; if something recurs in it without end, they are complete until `covers_until`, and were
    computed in the year `expanded_in`. Both are null if nothing does. `set_name` is the set that
    owns it.
    """

    __tablename__ = "calendars"
    audited_as, audited_secrets = "calendar", ()
    audited = ("key", "set_name", "dates")

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner_id: Mapped[int]
    key: Mapped[str] = mapped_column(Text)
    set_name: Mapped[str | None] = mapped_column(Text)
    dates: Mapped[list[str]] = mapped_column(ARRAY(Text))
    ics: Mapped[str | None] = mapped_column(Text)
    covers_until: Mapped[date | None] = mapped_column(Date)
    expanded_in: Mapped[int | None] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_calendars_listed", "shard", "owner_id", "id"),
        Index("ix_calendars_key", "shard", "owner_id", "key", unique=True),
        Index(
            "ix_calendars_set",
            "shard",
            "owner_id",
            "set_name",
            "id",
            postgresql_where=text("set_name IS NOT NULL"),
        ),
        Index(
            "ix_calendars_to_extend",
            "shard",
            "expanded_in",
            "id",
            postgresql_where=text("expanded_in IS NOT NULL"),
        ),
    )


class TriggerCalendar(Base):
    """A row is one calendar that the details of one trigger name.

    It is a table and not an index of `triggers`, since each firing would write to that index.
    """

    __tablename__ = "trigger_calendars"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    owner_id: Mapped[int] = mapped_column(primary_key=True)
    calendar_key: Mapped[str] = mapped_column(Text, primary_key=True)
    trigger_id: Mapped[int] = mapped_column(primary_key=True)

    __table_args__ = (Index("ix_trigger_calendars_trigger", "shard", "trigger_id"),)
