"""Declares the table of time zone rules, by which past instants are explained."""

from datetime import datetime

from sqlalchemy import Identity, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class ZoneRulesRecord(Base):
    """A row is one zone's rules in one version of the IANA database; `data` is its TZif file.

    The newest version of each zone is in force at every replica. `planned_at` is when all
    triggers of the zone had been planned by it; until then a replica is planning them, or was
    killed while it did.
    """

    __tablename__ = "zone_rules"

    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True))
    zone: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    planned_at: Mapped[datetime | None]
