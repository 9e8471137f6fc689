"""Imitates downtime: moves a trigger's past back, as if no replica had run since."""

from datetime import datetime, timedelta
from typing import Any

from tests.support.waiting import eventually

_INSTANTS = ("anchor_at", "created_at", "in_force_after", "settled_until", "next_fire_at")


def earlier(*columns: str, by: str) -> str:
    """Writes assignments that set columns back by an interval, as a cluster takes them, too."""
    return ", ".join(
        f"{one} = ({one} AT TIME ZONE 'UTC' - {by}) AT TIME ZONE 'UTC'" for one in columns
    )


async def set_back(database: Any, trigger_id: int, by: timedelta) -> None:
    """Moves all instants of a trigger back, as if no replica had run for that long.

    For schedules without an absolute time only: those of an interval alone.
    """
    await database.execute(
        f"UPDATE triggers SET {earlier(*_INSTANTS, by='$2::interval')} WHERE id = $1",
        trigger_id,
        by,
    )


async def until_caught_up(database: Any, *trigger_ids: int) -> None:
    """Waits until none of these triggers is due."""
    await eventually(
        lambda: database.fetchval(
            "SELECT count(*) FROM triggers WHERE id = ANY($1) AND next_fire_at <= now()",
            list(trigger_ids),
        ),
        lambda due: due == 0,
    )


async def instants_of(database: Any, trigger_id: int) -> list[datetime]:
    """Gives the planned instants that have an event, in the order in which they fired."""
    rows = await database.fetch(
        "SELECT scheduled_for FROM events WHERE trigger_id = $1 ORDER BY triggered_at, id",
        trigger_id,
    )
    return [row["scheduled_for"] for row in rows]
