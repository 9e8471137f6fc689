"""One sign-in and the refresh tokens that descend from it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Identity, LargeBinary, Text, Uuid, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class Login(Base):
    """A family of refresh tokens: when it ends, every token of it is worthless.

    `scopes` are those that it was narrowed to; None is all that its user's role holds.
    """

    __tablename__ = "logins"
    audited_as, audited, audited_secrets = "login", ("scopes",), ()

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(Text))


class RefreshToken(Base):
    """One refresh token; only its SHA-256 is kept, and `used_at` says that it was rotated."""

    __tablename__ = "refresh_tokens"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    login_id: Mapped[UUID] = mapped_column(ForeignKey("logins.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime | None]
