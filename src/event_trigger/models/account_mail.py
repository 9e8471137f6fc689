"""Declares the tables of mails to people, and of the links by which they set a new password."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Identity, LargeBinary, SmallInteger, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class AccountMailKind(StrEnum):
    """The reason of a mail; RESET_REQUEST is not one yet: nobody has looked for the account."""

    RESET_REQUEST = "reset_request"
    PASSWORD_RESET = "password_reset"  # noqa: S105
    INVITATION = "invitation"


class PasswordReset(Base):
    """A row is one link that sets a new password, once and until `expires_at`.

    Only the SHA-256 of its token is stored.
    """

    __tablename__ = "password_resets"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]


class AccountMail(Base):
    """A row is one mail that waits to be sent, until `expires_at`; a sent one is deleted.

    `sealed` holds the address and the text, encrypted under the key named `key_id`, since the text
    has a token. A mail is deleted with its link. `lease` numbers the attempts: only the newest may
    record its result.
    """

    __tablename__ = "account_mails"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    key_id: Mapped[str] = mapped_column(Text)
    reset_id: Mapped[int | None] = mapped_column(
        ForeignKey("password_resets.id", ondelete="CASCADE"), index=True
    )
    invitation_id: Mapped[int | None] = mapped_column(
        ForeignKey("invitations.id", ondelete="CASCADE"), index=True
    )
    lease: Mapped[int] = mapped_column(server_default="0")
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
