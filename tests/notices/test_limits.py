"""A backlog that is full, and a key that expires soon, are told of once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.backlogs import count_backlogs
from tests.support.destinations import fire, make_destination
from tests.support.keys import make_key
from tests.support.notices import list_notices, make_listener, notice_in, until_told
from tests.support.receiver import ALLOW_LOOPBACK, Receiver
from tests.support.services import ADA, Service, running_service
from tests.support.triggers import make_api

MOST = 10_000


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {"max_backlog_bytes": MOST, **ALLOW_LOOPBACK}


async def test_a_backlog_is_told_of_when_it_gets_full(
    service: Service, ada: httpx.AsyncClient, receiver: Receiver
) -> None:
    await make_listener(ada, receiver, "backlog.full")
    stopped = await make_destination(ada, f"{receiver.url}/stopped")
    await ada.post(f"/destinations/{stopped['id']}/disable")
    trigger = await make_api(ada, payload={"a": "x" * MOST}, destinations=[stopped["id"]])
    await fire(ada, trigger)
    for _ in range(2):
        await count_backlogs(service.database_url, most_bytes=MOST)

    [told] = await until_told(receiver)

    assert notice_in(told)["subject"] == f"projects/{ADA}"
    assert "backlog of the project" in notice_in(told)["data"]["message"]
    [notice] = await list_notices(ada)
    assert notice["count"] == 1


async def test_a_key_is_told_of_once_seven_days_before_it_expires(
    database_url: str, database: Any, receiver: Receiver
) -> None:
    soon = datetime.now(UTC) + timedelta(days=6)
    async with running_service(database_url, **ALLOW_LOOPBACK) as service:
        ada = service.client(ADA)
        await make_listener(ada, receiver, "key.expiring")
        key = await make_key(ada, name="backups", expires_at=soon.isoformat())
        await make_key(ada, name="of today", expires_at=soon.isoformat())
        await make_key(ada, name="of next year")
    older = "UPDATE api_keys SET created_at = created_at - interval '30 days' WHERE id = $1"
    await database.execute(older, key["id"])

    for _ in range(2):  # the job runs at each start
        async with running_service(database_url, **ALLOW_LOOPBACK) as service:
            [told] = await until_told(receiver)

    event = notice_in(told)
    assert event["subject"] == f"keys/{key['id']}"
    assert event["data"]["message"].startswith("The API key backups expires at 20")
