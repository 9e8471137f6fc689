"""Declares the tables of deliveries, their attempts and their payloads."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Float,
    Identity,
    Index,
    LargeBinary,
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
    """Names why an attempt failed; it never repeats the answer of a private address."""

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
    TEMPLATE_FAILED = "template_failed"
    CANCELLED = "cancelled"  # never stored: see Delivery


class Delivery(Base):
    """A row is one event or notice to be sent to a destination; `DeliveryPayload` has the payload.

    A notice has a `subject`. Its id is then in `event_id`, its kind in `event_type`, and
    `trigger_id` is 0.

    `payload` is written only by versions before migration 0014; nothing writes it now.
    `payload_size`, in bytes, is 0 for an event without a payload.

    `next_attempt_at` is null once the delivery is finished. While a worker holds a lease
    (`leased_until`), it is the end of that lease. `lease` numbers the leases: only the holder of
    the newest may record its attempt. `tries` counts the attempts of this round; a redelivery
    starts a new round.

    A user has cancelled a delivery that is exhausted and has no error. It is not stored as an error
    or a status of its own, since replicas of the version before know none, and could not read it.

    `installation` names the installation that made the first attempt, so that all attempts carry
    the same `webhook-id`; it is null if a version without installations made it.
    A lease adds 2 to `lease`, and 4 for a notice. Versions before 0014 add 1, and would send `null`
    for a payload that is not in the row; those before 0037 add 2, and would take a notice for an
    event: the check constraints refuse them such a lease.

    `trace_context` is the W3C trace context of the event's span, so that the attempts of every
    process are in its trace: `traceparent`, and `tracestate` after a space. It is null unless the
    process that fired the event traces.
    """

    __tablename__ = "deliveries"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner_id: Mapped[int]
    destination_id: Mapped[int]
    trigger_id: Mapped[int]
    trigger_key: Mapped[str | None] = mapped_column(Text)
    trigger_name: Mapped[str | None] = mapped_column(Text)
    event_id: Mapped[int]
    event_type: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    triggered_at: Mapped[datetime]
    scheduled_for: Mapped[datetime | None]
    is_test: Mapped[bool] = mapped_column(Boolean)
    replay_of: Mapped[int | None]
    hops: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    source_kind: Mapped[str | None] = mapped_column(Text)
    payload: Mapped[dict[str, Any] | None]
    payload_size: Mapped[int]
    trace_context: Mapped[str | None] = mapped_column(Text)
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
            "ix_deliveries_owner_exhausted",
            "shard",
            "owner_id",
            "finished_at",
            postgresql_where=text("status = 'exhausted'"),
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
        CheckConstraint("subject IS NULL OR lease % 4 = 0", name="notice_known"),
    )


class DeliveryPayload(Base):
    """A row is the payload of one event, shared by all its deliveries; it may outlive the event.

    It is kept until every delivery of the event has arrived or is purged. `counted` says whether
    its size is part of its owner's backlog: null until the backlog is first updated, false when
    only exhausted deliveries still need it.
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


class DeliveryRequest(Base):
    """A row is the rendered request of one delivery, so that each attempt sends the same bytes.

    The transaction that records a failed attempt stores it, if it is small; most deliveries need
    none. Larger ones are rendered for each attempt: only another version of the service could
    render the same event and form in another way.

    `form` is the digest of the destination's form that it was rendered from: another form renders
    it again. `body` is null for a request without one, and `subject` for all but mails. It is kept
    until the delivery is finished.
    """

    __tablename__ = "delivery_requests"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    delivery_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_id: Mapped[int]
    form: Mapped[bytes] = mapped_column(LargeBinary)
    url: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    subject: Mapped[str | None] = mapped_column(Text)


class DeliveryBacklog(Base):
    """A row is the backlog of one owner: the bytes of payloads that wait to be delivered.

    `bytes` is the sum of `payload_size` over the owner's counted payloads; the transactions that
    change `counted` change it too, seconds after firing. Firing only reads `is_full`.
    """

    __tablename__ = "delivery_backlogs"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    owner_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bytes: Mapped[int]
    is_full: Mapped[bool] = mapped_column(Boolean, server_default="false")


class DeliveryAttempt(Base):
    """A row is one request to a destination, with its answer or the kind of its error.

    An interrupted attempt has no duration, and may or may not have arrived. `reason` says more
    about the error, and `location` where a redirect leads: only for public addresses. There is no
    foreign key: the statement that records a delivery stores its attempt, and purging deletes both.
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
    reason: Mapped[str | None] = mapped_column(Text)
    location: Mapped[str | None] = mapped_column(Text)
