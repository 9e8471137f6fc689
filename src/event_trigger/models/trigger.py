"""Declares the tables of triggers and of their tags."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, Integer, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from event_trigger.models.base import Base


class TriggerType(StrEnum):
    SCHEDULED = "scheduled"
    API = "api"
    HEARTBEAT = "heartbeat"


class TriggerStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"


class OnCompletion(StrEnum):
    KEEP = "keep"
    DELETE = "delete"


class Trigger(Base):
    """A row is one trigger, with its present schedule and the next instant of it.

    `key` is its user's own name for it, unique in the project. `set_name` is the set that owns it.
    With `on_completion` "delete", it is deleted when it completes; null keeps it.

    `anchor_at` starts the grid of an interval without `time`; `error` says why the trigger was
    set aside. Version `version` of the schedule plans the instants after `in_force_after`. Each
    instant up to `settled_until` has an event or an unfired range; `next_fire_at` is the first
    later one. `fire_count` counts all firings but tests, `scheduled_count` those that
    `max_fires` limits. At `loop_refused_at` a call was last refused because the trigger's events
    lead back to it. `zone_rules` is the digest of the time zone rules that it was last planned
    by; null is unknown.

    Of a heartbeat, `anchor_at` is the time from which the next ping is expected, and `next_fire_at`
    at most its deadline: many pings in a row leave it, and the dispatcher moves it on. A heartbeat
    without `last_ping_at` and `run_started_at` has never been pinged. `run_started_at` is the last
    ping of `/start` that no other ping has followed.

    `excluded_days` are the dates of all calendars that `details.except` names, as days since
    1970-01-01, ascending; null without calendars. `shift_seconds` is this trigger's constant of
    its `details.spread`; null without one.
    """

    __tablename__ = "triggers"
    audited_as, audited_secrets = "trigger", ("payload",)
    audited = (
        "type",
        "key",
        "set_name",
        "name",
        "details",
        "tags",
        "destinations",
        "status",
        "on_completion",
    )

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner_id: Mapped[int]
    key: Mapped[str | None] = mapped_column(Text)
    set_name: Mapped[str | None] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any]]
    payload: Mapped[dict[str, Any] | None]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    destinations: Mapped[list[int]] = mapped_column(
        "destination_ids", ARRAY(BigInteger), server_default="{}"
    )
    status: Mapped[str] = mapped_column(Text)
    on_completion: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    loop_refused_at: Mapped[datetime | None]
    anchor_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")
    in_force_after: Mapped[datetime] = mapped_column(server_default=func.now())
    settled_until: Mapped[datetime] = mapped_column(server_default=func.now())
    next_fire_at: Mapped[datetime | None]
    last_fired_at: Mapped[datetime | None]
    fire_count: Mapped[int] = mapped_column(server_default="0")
    scheduled_count: Mapped[int] = mapped_column(server_default="0")
    zone_rules: Mapped[str | None] = mapped_column(Text)
    excluded_days: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    shift_seconds: Mapped[int | None] = mapped_column(Integer)
    last_ping_at: Mapped[datetime | None]
    run_started_at: Mapped[datetime | None]
    silent_since: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("ix_triggers_owner_kind", "shard", "owner_id", "status", "type", "id"),
        Index(  # for admins; firing an active trigger does not write to it
            "ix_triggers_resting",
            "shard",
            "status",
            "type",
            "id",
            postgresql_where=text("status <> 'active'"),
        ),
        Index(
            "ix_triggers_key",
            "shard",
            "owner_id",
            "key",
            unique=True,
            postgresql_where=text("key IS NOT NULL"),
        ),
        Index(
            "ix_triggers_set",
            "shard",
            "owner_id",
            "set_name",
            "id",
            postgresql_where=text("set_name IS NOT NULL"),
        ),
        Index(
            "ix_triggers_to_delete",
            "shard",
            "id",
            postgresql_where=text("status = 'completed' AND on_completion = 'delete'"),
        ),
        Index(  # only triggers that were set aside, which do not fire
            "ix_triggers_failing",
            "shard",
            "id",
            "owner_id",
            postgresql_where=text("error IS NOT NULL"),
        ),
        Index(  # pings of heartbeats that are alive do not write to it
            "ix_triggers_silent",
            "shard",
            "id",
            "owner_id",
            postgresql_where=text("silent_since IS NOT NULL"),
        ),
        Index(  # the owner comes last: lists of one owner skip the entries of others in the index
            "ix_triggers_due",
            "shard",
            "next_fire_at",
            "id",
            "owner_id",
            postgresql_where=text("next_fire_at IS NOT NULL"),
        ),
    )


class TriggerTag(Base):
    """A row is one tag of one trigger.

    It is a table and not an index of `triggers`, since each firing would write to that index.
    """

    __tablename__ = "trigger_tags"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    owner_id: Mapped[int] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(Text, primary_key=True)
    trigger_id: Mapped[int] = mapped_column(primary_key=True)

    __table_args__ = (Index("ix_trigger_tags_tag", "shard", "tag", "trigger_id"),)
