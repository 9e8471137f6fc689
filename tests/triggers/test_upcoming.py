"""The next firings of all triggers of a project are listed or counted at once."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from event_trigger.models import ProjectRole
from tests.support.databases import connect
from tests.support.keys import make_key
from tests.support.memberships import add_project
from tests.support.planting import plant_triggers
from tests.support.problems import places_of
from tests.support.services import ADA, BOB, Service
from tests.support.triggers import instant, make_api, make_scheduled

WINDOW = {"from": "2027-01-01T00:00:00Z", "until": "2027-01-02T00:00:00Z"}


@pytest.fixture
def ada(idle: Service) -> httpx.AsyncClient:
    return idle.client(ADA)


async def upcoming(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get("/upcoming", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_next_firings_of_all_triggers_are_merged(ada: httpx.AsyncClient) -> None:
    noon = await make_scheduled(ada, {"cron": "0 12 * * *"}, name="Noon")
    hours = await make_scheduled(ada, {"cron": "0 */6 * * *"})
    paused = await make_scheduled(ada, {"cron": "0 3 * * *"})
    await ada.post(f"/triggers/{paused['id']}/pause")
    await make_api(ada)

    found = await upcoming(ada, **WINDOW)
    cut = await upcoming(ada, **WINDOW, limit=2)

    assert [(one["at"][11:16], one["trigger_id"]) for one in found["firings"]] == [
        ("00:00", hours["id"]),
        ("06:00", hours["id"]),
        ("12:00", noon["id"]),
        ("12:00", hours["id"]),
        ("18:00", hours["id"]),
    ]
    assert found["firings"][2]["trigger_name"] == "Noon"
    assert (found["truncated"], found["complete_until"]) == (False, WINDOW["until"])
    assert cut["firings"] == found["firings"][:2]
    assert (cut["truncated"], cut["complete_until"]) == (True, cut["firings"][-1]["at"])


async def test_steps_show_when_many_meet(ada: httpx.AsyncClient) -> None:
    for _ in range(3):
        await make_scheduled(ada, {"cron": "30 2 * * *"})
    await make_scheduled(
        ada, {"interval": "PT6H", "time": "2027-01-01T00:00:00Z", "recurring": True}
    )

    found = await upcoming(ada, **WINDOW, step="PT1H")

    assert found["firings"] == []
    assert found["counts"] == [1, 0, 3, 0, 0, 0, 1, *[0] * 5, 1, *[0] * 5, 1, *[0] * 5]
    assert found["truncated"] is False


async def test_ten_thousand_are_counted_and_the_rest_is_said(
    ada: httpx.AsyncClient, idle: Service
) -> None:
    mine = await make_scheduled(ada, {"cron": "0 12 * * *"})
    key = await make_key(ada, trigger_ids=[mine["id"]], scopes=["triggers:read"])
    connection = await connect(idle.database_url)
    due_at = instant(WINDOW["from"]) + timedelta(hours=1)
    await plant_triggers(connection, 10_050, details={"cron": "0 1 * * *"}, due_at=due_at)
    await connection.close()

    found = await upcoming(ada, **WINDOW, step="PT1H")
    limited = await idle.client().get("/upcoming", params=WINDOW, headers={"X-API-Key": key["key"]})

    assert (sum(found["counts"]), found["truncated"]) == (0, True)
    assert instant(found["complete_until"]) == due_at
    seen = limited.json()
    assert [one["trigger_id"] for one in seen["firings"]] == [mine["id"]]
    assert (seen["truncated"], seen["complete_until"]) == (False, WINDOW["until"])


async def test_a_limited_key_sees_its_own_triggers_and_nobody_another_project(
    ada: httpx.AsyncClient, idle: Service
) -> None:
    mine, other = [await make_scheduled(ada, {"cron": "0 12 * * *"}) for _ in range(2)]
    team = await add_project(idle, BOB, {ADA: ProjectRole.VIEWER})
    key = await make_key(ada, trigger_ids=[mine["id"]], scopes=["triggers:read"])

    seen = await upcoming(ada, **WINDOW)
    limited = await idle.client().get("/upcoming", params=WINDOW, headers={"X-API-Key": key["key"]})
    elsewhere = await upcoming(idle.client(ADA, project=team), **WINDOW)

    assert [one["trigger_id"] for one in seen["firings"]] == [mine["id"], other["id"]]
    assert [one["trigger_id"] for one in limited.json()["firings"]] == [mine["id"]]
    assert elsewhere["firings"] == []


REFUSED = [
    ({"from": "2027-01-02T00:00:00Z", "until": "2027-01-02T00:00:00Z"}, "until"),
    ({"from": "2027-01-01T00:00:00Z", "until": "2029-01-01T00:00:00Z"}, "until"),
    ({"from": "2090-01-01T00:00:00Z"}, "from"),
    ({"until": "2027-09-01T00:00:00Z", "step": "PT1M"}, "step"),
    ({"step": "PT2M"}, "step"),
    ({"limit": "0"}, "limit"),
]


async def test_a_window_that_cannot_be_shown_is_refused(ada: httpx.AsyncClient) -> None:
    answers = [(await ada.get("/upcoming", params=query), place) for query, place in REFUSED]

    for answer, place in answers:
        assert places_of(answer) == [place]
