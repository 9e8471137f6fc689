"""Declares the tables of logins and of their refresh tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Identity, Index, LargeBinary, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class Login(Base):
    """A row is one sign-in: a family of refresh tokens, which all become invalid when it ends.

    `scopes` are the scopes that it was narrowed to; null is all scopes of its user's role.
    It came from `address` by `user_agent`, and was last used at `last_used_at`, to the minute.
    A browser's has no refresh tokens but a cookie, stored as its SHA-256, and each use puts off
    `expires_at`.
    """

    __tablename__ = "logins"
    audited_as, audited, audited_secrets = "login", ("scopes",), ()

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    address: Mapped[str | None] = mapped_column(Text)
    user_agent: Mapped[str | None] = mapped_column(Text)
    last_used_at: Mapped[datetime | None]
    cookie_hash: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (
        Index("ix_logins_user", "user_id", "created_at", "id"),
        Index(
            "ix_logins_cookie",
            "cookie_hash",
            unique=True,
            postgresql_where=text("cookie_hash IS NOT NULL"),
        ),
    )


class RefreshToken(Base):
    """A row is one refresh token, stored as its SHA-256; `used_at` says when it was rotated."""

    __tablename__ = "refresh_tokens"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    login_id: Mapped[UUID] = mapped_column(ForeignKey("logins.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime | None]
