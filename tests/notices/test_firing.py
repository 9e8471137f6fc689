"""Instants that did not fire, and triggers that cannot, are told of in the words of their kind."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.support.notices import EARLIER, list_notices, make_listener, notice_in, until_told
from tests.support.planting import plant_triggers
from tests.support.receiver import Receiver
from tests.support.triggers import make_scheduled
from tests.support.waiting import eventually

NO_CATCH_UP = {"interval": "PT1M", "recurring": True, "catch_up": "none"}
SPOIL = 'UPDATE triggers SET details = \'{"interval": "soon"}\', next_fire_at = now()'
HOUR_AGO = timedelta(hours=1)


async def test_missed_instants_of_one_trigger_are_one_notice(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    await make_listener(ada, receiver, "instants.missed")
    [missed] = await plant_triggers(
        database, due_at=datetime.now(UTC) - HOUR_AGO, details=NO_CATCH_UP
    )

    [told] = await until_told(receiver)

    data = notice_in(told)["data"]
    assert notice_in(told)["subject"] == f"triggers/{missed}"
    assert data["count"] == await database.fetchval("SELECT sum(count) FROM unfired_ranges")
    assert data["count"] >= 59
    assert data["details"]["reason"] == "missed"
    assert f"{data['count']} instants of the trigger {missed} did not fire" in data["message"]


async def test_a_storm_of_missed_instants_is_one_notice_with_their_number(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    await make_listener(ada, receiver, "instants.missed", "trigger.set_aside")
    late = datetime.now(UTC) - HOUR_AGO
    missed = await plant_triggers(database, 300, due_at=late, details=NO_CATCH_UP)

    [told] = await until_told(receiver)

    data, [notice] = notice_in(told)["data"], await list_notices(ada)
    assert data["count"] == await database.fetchval("SELECT sum(count) FROM unfired_ranges")
    assert data["count"] >= 59 * len(missed)
    assert notice_in(told)["subject"] == f"projects/{notice['project_id']}"
    assert data["details"]["subjects"][0].startswith("triggers/")
    assert len(data["details"]["subjects"]) == 10


async def test_a_trigger_that_is_set_aside_is_told_of_with_its_error(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    await make_listener(ada, receiver, "trigger.set_aside", "instants.missed")
    trigger = await make_scheduled(ada, key="nightly")
    await database.execute(SPOIL)

    [told] = await until_told(receiver)

    event = notice_in(told)
    stored = (await ada.get(f"/triggers/{trigger['id']}")).json()
    assert event["type"] == "event_trigger.notice.trigger.set_aside"
    assert event["subject"] == f"triggers/{trigger['id']}"
    assert event["data"]["details"]["error"] == stored["error"]
    assert event["data"]["message"] == f"The trigger nightly was set aside: {stored['error']}"


async def test_after_ten_subjects_the_others_are_told_of_together(
    ada: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    await make_listener(ada, receiver, "trigger.set_aside")
    for number in range(10):
        await make_scheduled(ada, key=f"t{number}")
    await database.execute(SPOIL)
    await until_told(receiver, 10)
    for number in range(10, 13):
        await make_scheduled(ada, key=f"t{number}")
    await database.execute(SPOIL + " WHERE status = 'active'")

    async def recorded() -> int:
        return int(await database.fetchval("SELECT sum(count) FROM notice_changes"))

    await eventually(recorded, lambda count: count == 13)
    assert len(await list_notices(ada)) == 10
    await database.execute(EARLIER)

    told = await until_told(receiver, 13)
    assert [notice_in(one)["data"]["count"] for one in told] == [1] * 13
