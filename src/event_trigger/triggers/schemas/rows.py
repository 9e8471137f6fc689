"""Declares a stored trigger as answers show it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple


class TriggerRow(NamedTuple):
    """The columns that answers are made of: JSON is the text that is stored.

    The payload of a summary is None.
    """

    id: int
    owner_id: int
    key: str | None
    set_name: str | None
    type: str
    name: str | None
    details: str
    payload: str | None
    tags: Sequence[str]
    destinations: Sequence[int]
    status: str
    on_completion: str | None
    error: str | None
    loop_refused_at: datetime | None
    anchor_at: datetime
    next_fire_at: datetime | None
    last_fired_at: datetime | None
    fire_count: int
    shift_seconds: int | None
    last_ping_at: datetime | None
    run_started_at: datetime | None
    silent_since: datetime | None
    created_at: datetime
    updated_at: datetime
