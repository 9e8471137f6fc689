"""Declares the table that names this installation, unlike all others of the same receivers."""

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, Text, func, true
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class Installation(Base):
    """The only row is this installation.

    `name` is part of each `webhook-id` and of the source of each CloudEvent. The other columns
    identify the database that it was made for: the server's `system_identifier`, the oid of the
    database, and the transaction that wrote the row. A row restored from a dump was written by
    another transaction, so a copy is noticed.
    """

    __tablename__ = "installation"

    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=true())
    name: Mapped[str] = mapped_column(Text)
    system_identifier: Mapped[str | None] = mapped_column(Text)
    database_oid: Mapped[str | None] = mapped_column(Text)
    xid: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint("is_only", name="one_row"),)
