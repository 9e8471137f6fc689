"""Declares the table of answers that are kept for repeated calls with an `Idempotency-Key`."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, SmallInteger, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class KeptAnswer(Base):
    """A row is the answer to the first call with a key; calls that fire have IdempotencyKey.

    `call` is the SHA-256 of the caller, the operation and the key, and `body_hash` a keyed hash of
    the body. `scopes` and `trigger_ids` are the rights of the first caller. `email` is the address
    in the answer, if it has one: with it, an erased user's answers are found. Answers that belong
    to a user have the user's id as `owner_id`, which is that of the user's own project; those to
    callers without a login have 0.
    """

    __tablename__ = "kept_answers"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    owner_id: Mapped[int] = mapped_column(primary_key=True)
    call: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    headers: Mapped[dict[str, Any]]
    body: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    trigger_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    email: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)

    __table_args__ = (Index("ix_kept_answers_email", "email", postgresql_where=email.is_not(None)),)
