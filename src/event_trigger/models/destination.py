"""Declares the table of destinations, and the state of their circuit breakers."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    Dialect,
    Float,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    TypeDecorator,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class DestinationStatus(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    BY_HAND = "by_hand"
    GONE = "gone"


class DestinationFormat(StrEnum):
    CLOUDEVENTS = "cloudevents"
    CLOUDEVENTS_BINARY = "cloudevents_binary"
    PAYLOAD = "payload"
    TEMPLATE = "template"


class DestinationMethod(StrEnum):
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    GET = "GET"
    DELETE = "DELETE"


class _Magnitude(TypeDecorator[int]):
    """Reads a number without its sign."""

    impl, cache_ok = SmallInteger, True

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else abs(value)


class Destination(Base):
    """A row is one URL that events are sent to.

    `key` is its user's own name for it, unique in the project. `set_name` is the set that owns it.
    `template` (Liquid) and `content_type` are of the format "template".
    A URL that begins with `mailto:` is an address, whose mails have the `subject` (Liquid).
    `max_concurrency` is stored as a negative number if requests are not CloudEvents by POST to a
    plain URL: versions before 0029 know nothing else, and claim nothing for such a destination.
    `sealed` holds its signing secrets, header values and the private key of its client certificate,
    encrypted under the key named `key_id`. `client_certificate` is the part that may be shown.
    `notices` are the kinds of changes that it hears of: in its own project, or with `all_projects`
    in every project. `NoticeListener` is derived from them.
    The circuit breaker has `failures` in a row, `window` (requests that may be in flight; null
    while it is closed) and `probe_at`. Until `held_until` the receiver asked not to be called.
    `tokens` of the rate limit were left at `tokens_at`.
    A deleted destination keeps its row as long as a delivery refers to it.
    """

    __tablename__ = "destinations"
    audited_as, audited_secrets = "destination", ("sealed",)
    audited = (
        "url",
        "format",
        "method",
        "template",
        "content_type",
        "subject",
        "key",
        "set_name",
        "description",
        "timeout",
        "rate_limit",
        "max_concurrency",
        "header_names",
        "client_certificate",
        "notices",
        "all_projects",
        "disabled_reason",
        "deleted_at",
    )

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner_id: Mapped[int]
    key: Mapped[str | None] = mapped_column(Text)
    set_name: Mapped[str | None] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    format: Mapped[str] = mapped_column(Text, server_default=DestinationFormat.CLOUDEVENTS)
    method: Mapped[str] = mapped_column(Text, server_default=DestinationMethod.POST)
    template: Mapped[str | None] = mapped_column(Text)
    content_type: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    timeout: Mapped[float] = mapped_column(Float)
    rate_limit: Mapped[float | None] = mapped_column(Float)
    max_concurrency: Mapped[int] = mapped_column(_Magnitude)
    header_names: Mapped[list[str]] = mapped_column(ARRAY(Text))
    client_certificate: Mapped[dict[str, Any] | None]
    notices: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    all_projects: Mapped[bool] = mapped_column(Boolean, server_default="false")
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    key_id: Mapped[str] = mapped_column(Text)
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    deleted_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(server_default="0")
    window: Mapped[int | None]
    probe_at: Mapped[datetime | None]
    held_until: Mapped[datetime | None]
    tokens: Mapped[float] = mapped_column(Float, server_default="0")
    tokens_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(
            "ix_destinations_listed",
            "shard",
            "owner_id",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_destinations_failing",
            "shard",
            "owner_id",
            "id",
            postgresql_where=text(
                'deleted_at IS NULL AND ("window" IS NOT NULL OR disabled_reason IS NOT NULL)'
            ),
        ),
        Index(
            "ix_destinations_key",
            "shard",
            "owner_id",
            "key",
            unique=True,
            postgresql_where=text("key IS NOT NULL AND deleted_at IS NULL"),
        ),
        Index(
            "ix_destinations_set",
            "shard",
            "owner_id",
            "set_name",
            "id",
            postgresql_where=text("set_name IS NOT NULL AND deleted_at IS NULL"),
        ),
    )
