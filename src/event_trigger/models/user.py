"""Declares the table of users, who sign in and are members of projects."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Identity, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


class User(Base):
    """A row is one account; `disabled_at` ends its logins and keys.

    Calls that name no project happen in `default_project_id`; null is the user's own project.
    """

    __tablename__ = "users"
    audited_as, audited, audited_secrets = (
        "user",
        ("email", "role", "disabled_at", "default_project_id"),
        ("password_hash",),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    disabled_at: Mapped[datetime | None]
    default_project_id: Mapped[int | None] = mapped_column(
        ForeignKey("projects.id", ondelete="SET NULL")
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
