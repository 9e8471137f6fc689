"""Keeps the list of listening destinations, as the rows of destinations say."""

from collections.abc import Sequence

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import Destination, NoticeListener


async def keep_listeners(
    session: AsyncSession, destinations: Sequence[Destination], *, admin_id: int | None
) -> None:
    """Puts destinations that hear of something on the list, and takes the others off it.

    `admin_id` is the admin who lets those with `all_projects` hear of all projects.
    """
    hearing = [
        {
            "destination_id": one.id,
            "owner_id": one.owner_id,
            "hears": one.notices,
            "user_id": admin_id if one.all_projects else None,
        }
        for one in destinations
        if one.notices and one.deleted_at is None
    ]
    listed = {one["destination_id"] for one in hearing}
    if deaf := [one.id for one in destinations if one.id not in listed]:
        await session.execute(delete(NoticeListener).where(NoticeListener.destination_id.in_(deaf)))
    if hearing:
        new = insert(NoticeListener)
        replaced = {name: new.excluded[name] for name in ("owner_id", "hears", "user_id")}
        await session.execute(
            new.on_conflict_do_update(index_elements=["destination_id"], set_=replaced), hearing
        )
