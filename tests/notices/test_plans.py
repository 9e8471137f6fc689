"""Recording a change looks listeners up by an index, and the job reads what waits by another."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from event_trigger.db.engine import create_engine
from event_trigger.models import NoticeKind, SubjectKind, shard_of
from event_trigger.notices.change_queue import NoticeChanges
from event_trigger.notices.changes import Change, Subject, record_changes
from event_trigger.notices.repository import Notices
from tests.support.one_server import one_server
from tests.support.plans import plans_of
from tests.support.services import ADA

pytestmark = one_server("workers make the plans of a cluster")

SHARD = shard_of(ADA)
OPENED = Change(NoticeKind.DESTINATION_OPENED, ADA, Subject(SubjectKind.DESTINATION, 1))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


async def test_a_change_that_nobody_hears_of_costs_one_probe(engine: AsyncEngine) -> None:
    async def work(session: AsyncSession) -> None:
        await record_changes(session, SHARD, [])
        await record_changes(session, SHARD, [OPENED])

    [plan] = await plans_of(engine, work)

    assert "ix_notice_listeners_owner" in plan
    assert "ix_notice_listeners_user" in plan


async def test_the_job_reads_what_waits_and_what_was_told_of_by_their_indexes(
    engine: AsyncEngine,
) -> None:
    async def work(session: AsyncSession) -> None:
        changes = NoticeChanges(session)
        await changes.list_waiting(SHARD)
        await changes.list_told(SHARD, within=timedelta(minutes=5))
        await Notices(session).purge(after=timedelta(hours=48), limit=5000)

    waiting, told, purged = await plans_of(engine, work)

    assert "ix_notice_changes_waiting" in waiting
    assert "ix_notice_changes_told" in told
    assert "ix_notices_at" in purged
