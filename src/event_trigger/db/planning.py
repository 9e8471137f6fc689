"""Chooses how PostgreSQL plans the statements of a reader."""

from sqlalchemy import text

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.plain_session import PlainSession, Planning, ReadSession

_PLAN = text("""
    SELECT set_config(name, setting, true)
    FROM unnest(CAST(:names AS text[]), CAST(:settings AS text[])) AS chosen (name, setting)
""")


async def use_generic_plan(session: ReadSession) -> None:
    """Makes PostgreSQL reuse one plan per statement for the rest of the transaction.

    Planning many ranges or partitions takes up to ten times as long as reading them, and the plan
    is the same for all values. A cluster plans each statement by its values, which name the node.
    """
    if not await is_in_cluster(session):
        await _plan(session, Planning.GENERIC)


async def use_plans_along_indexes(session: ReadSession) -> None:
    """Makes PostgreSQL plan each statement for its values, and read along an index of the order.

    A generic plan guesses the number of an owner's rows, and so may read all of them for each row
    of a page, and sort them. Parallel workers would read far beyond a page before it is full.
    """
    await _plan(session, Planning.ALONG_INDEXES)


async def _plan(session: ReadSession, planning: Planning) -> None:
    if isinstance(session, PlainSession):
        await session.plan(planning)
    else:
        settings = planning.value
        await session.execute(_PLAN, {"names": [*settings], "settings": [*settings.values()]})
