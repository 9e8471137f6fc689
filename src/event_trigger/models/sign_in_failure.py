"""How often somebody has guessed wrong lately, so that guessing gets slow."""

from datetime import datetime

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class SignInFailure(Base):
    """An account or an address, as a hash; failures are forgotten one by one until `clear_at`."""

    __tablename__ = "sign_in_failures"

    subject: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    clear_at: Mapped[datetime] = mapped_column(index=True)
