"""Declares the table of failed sign-ins, which slow down further guesses."""

from datetime import datetime

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class SignInFailure(Base):
    """A row is one account or address, hashed; its failures expire one by one until `clear_at`."""

    __tablename__ = "sign_in_failures"

    subject: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    clear_at: Mapped[datetime] = mapped_column(index=True)
