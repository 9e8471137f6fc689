"""Declares the tables that tell when no process of the service could receive pings."""

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, Identity, func, true
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class ServiceBeat(Base):
    """The only row has the time at which a process of the service last ran; all write it."""

    __tablename__ = "service_beats"

    is_only: Mapped[bool] = mapped_column(Boolean, primary_key=True, server_default=true())
    beat_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint("is_only", name="one_row"),)


class ServiceOutage(Base):
    """A row is a time in which no process of the service ran, or none reached the database."""

    __tablename__ = "service_outages"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime]
