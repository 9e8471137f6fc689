"""A change that is recorded in a transaction is told of if that commits, and only then."""

import httpx

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.models import NoticeKind, SubjectKind, shard_of
from event_trigger.notices.changes import Change, Subject, record_changes
from tests.support.notices import list_notices, make_listener, notice_in, until_told
from tests.support.receiver import Receiver
from tests.support.services import ADA, Service
from tests.support.triggers import make_scheduled


async def test_a_silent_heartbeat_can_be_told_of(
    service: Service, ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    await make_listener(ada, receiver, "trigger.silent")
    trigger = await make_scheduled(ada, name="Backup")
    silent = Change(NoticeKind.TRIGGER_SILENT, ADA, Subject(SubjectKind.TRIGGER, trigger["id"]))
    engine = create_engine(service.database_url)

    async with create_sessions(engine)() as session:
        await record_changes(session, shard_of(ADA), [silent])
        await session.rollback()
        await record_changes(session, shard_of(ADA), [silent])
        await session.commit()
    await engine.dispose()

    [told] = await until_told(receiver)
    assert notice_in(told)["type"] == "event_trigger.notice.trigger.silent"
    assert notice_in(told)["data"]["message"] == (
        "The trigger Backup is silent: no ping came in time."
    )
    [notice] = await list_notices(ada)
    assert (notice["count"], notice["subject"]) == (1, f"triggers/{trigger['id']}")
