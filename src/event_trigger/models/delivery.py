"""Events on their way to destinations, and every attempt to get them there."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Float,
    Identity,
    Index,
    SmallInteger,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"


class DeliveryError(StrEnum):
    """Why an attempt failed: a kind, never what an address that is not public answered."""

    TIMEOUT = "timeout"
    NAME_NOT_RESOLVED = "name_not_resolved"
    ADDRESS_REFUSED = "address_refused"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    PROTOCOL_VIOLATED = "protocol_violated"
    REDIRECTED = "redirected"
    REJECTED = "rejected"
    GONE = "gone"
    INTERRUPTED = "interrupted"
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105
    EXPIRED = "expired"
    DESTINATION_DELETED = "destination_deleted"
    BACKLOG_FULL = "backlog_full"
    PAYLOAD_GONE = "payload_gone"


class Delivery(Base):
    """One event for one destination, with all but the payload (see DeliveryPayload).

    `payload` is that of a delivery which a version before 0014 stored; nothing writes it now.
    `payload_size` is 0 for an event without a payload.

    `next_attempt_at` is there while it is not finished; while somebody is at it (`leased_until`)
    that is when the lease ends. `lease` numbers the leases: only the newest may record. `tries`
    counts the attempts of this round, which a redelivery begins anew.

    `installation` is the one that began the first attempt, so that all have one `webhook-id`; it is
    empty if that was a version that had none.
    A lease adds 2 to `lease`. Versions before 0014 add 1, and would send `null` for a payload that
    is not in the row: the constraint refuses them such a lease.
    """

    __tablename__ = "deliveries"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner_id: Mapped[int]
    destination_id: Mapped[int]
    trigger_id: Mapped[int]
    trigger_name: Mapped[str | None] = mapped_column(Text)
    event_id: Mapped[int]
    event_type: Mapped[str] = mapped_column(Text)
    triggered_at: Mapped[datetime]
    scheduled_for: Mapped[datetime | None]
    is_test: Mapped[bool] = mapped_column(Boolean)
    replay_of: Mapped[int | None]
    hops: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    payload: Mapped[dict[str, Any] | None]
    payload_size: Mapped[int]
    status: Mapped[str] = mapped_column(Text, server_default=DeliveryStatus.PENDING)
    attempt_count: Mapped[int] = mapped_column(server_default="0")
    tries: Mapped[int] = mapped_column(server_default="0")
    lease: Mapped[int] = mapped_column(server_default="0")
    installation: Mapped[str | None] = mapped_column(Text)
    leased_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_deliveries_status", "shard", "status", "id"),  # for admins
        Index("ix_deliveries_owner_status", "shard", "owner_id", "status", "id"),
        Index("ix_deliveries_trigger_status", "shard", "trigger_id", "status", "id"),
        Index("ix_deliveries_destination_status", "shard", "destination_id", "status", "id"),
        Index("ix_deliveries_event", "shard", "event_id"),
        Index(
            "ix_deliveries_waiting",
            "shard",
            "destination_id",
            "next_attempt_at",
            postgresql_where=text("next_attempt_at IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_leased",
            "shard",
            "destination_id",
            postgresql_where=text("leased_until IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_delivered", "finished_at", postgresql_where=text("status = 'delivered'")
        ),
        Index(
            "ix_deliveries_exhausted", "finished_at", postgresql_where=text("status = 'exhausted'")
        ),
        Index(
            "ix_deliveries_given_up",
            "shard",
            "destination_id",
            "triggered_at",
            postgresql_where=text("status = 'exhausted'"),
        ),
        CheckConstraint(
            "payload IS NOT NULL OR payload_size = 0 OR lease % 2 = 0", name="payload_known"
        ),
    )


class DeliveryPayload(Base):
    """The payload of an event, once for all its deliveries; it outlives the event.

    It is there as long as a delivery of the event has not arrived. `counted` says whether it is
    part of its owner's backlog: null until that is looked at for the first time, false when it is
    only kept for deliveries that were given up.
    """

    __tablename__ = "delivery_payloads"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_id: Mapped[int]
    payload_size: Mapped[int]
    counted: Mapped[bool | None] = mapped_column(Boolean)
    payload: Mapped[dict[str, Any]]

    __table_args__ = (
        Index(
            "ix_delivery_payloads_new",
            "shard",
            "event_id",
            postgresql_where=text("counted IS NULL"),
        ),
    )


class DeliveryBacklog(Base):
    """The bytes of an owner's payloads that wait to be delivered, as of seconds ago.

    It is the sum of `payload_size` of the owner's counted payloads, changed by the transactions
    that change those. Firing only reads `is_full`.
    """

    __tablename__ = "delivery_backlogs"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    owner_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bytes: Mapped[int]
    is_full: Mapped[bool] = mapped_column(Boolean, server_default="false")


class DeliveryAttempt(Base):
    """One request to a destination: what was answered, or the kind of error.

    How long an interrupted one took, and whether it arrived, nobody knows. There is no foreign
    key: attempts are stored by the statement that records their delivery, and go with it.
    """

    __tablename__ = "delivery_attempts"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    delivery_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    attempted_at: Mapped[datetime]
    duration_ms: Mapped[float | None] = mapped_column(Float)
    status_code: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    response: Mapped[str | None] = mapped_column(Text)
