"""The rules of time zones by which triggers were planned, kept to judge the past by."""

from datetime import datetime

from sqlalchemy import Identity, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class ZoneRulesRecord(Base):
    """What a version of the IANA database says of one zone; `data` is its TZif file.

    Of each zone the newest version is in force, at every replica. `planned_at` says when all of
    the zone's triggers were planned by it; until then a replica is at it, or was killed meanwhile.
    """

    __tablename__ = "zone_rules"

    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True))
    zone: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    planned_at: Mapped[datetime | None]
