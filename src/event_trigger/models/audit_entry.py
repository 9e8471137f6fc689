"""Declares the audit log, which keeps every change with its author, time and address."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, Identity, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class ActorKind(StrEnum):
    LOGIN = "login"
    KEY = "key"
    OPERATOR = "operator"
    ANONYMOUS = "anonymous"


class AuditEntry(Base):
    """A row is one change that was made, or refused.

    `before` and `after` hold the fields that differ; of a secret they say only that it was
    replaced. There is no foreign key: an entry outlives its target and its author.
    """

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    actor: Mapped[str] = mapped_column(Text)
    user_id: Mapped[int | None]
    project_id: Mapped[int | None]
    key_id: Mapped[int | None]
    address: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    target: Mapped[str | None] = mapped_column(Text)
    target_id: Mapped[int | None]
    refused: Mapped[bool] = mapped_column(Boolean)
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]

    __table_args__ = (
        Index("ix_audit_entries_time", "at", "id"),
        Index("ix_audit_entries_user", "user_id", "at", "id"),
        Index("ix_audit_entries_project", "project_id", "at", "id"),
        Index("ix_audit_entries_action", "action", "at", "id"),
        Index("ix_audit_entries_kind", "target", "at", "id"),
        Index("ix_audit_entries_about", "target_id", "at", "id"),
        Index("ix_audit_entries_refused", "at", "id", postgresql_where=text("refused")),
    )
