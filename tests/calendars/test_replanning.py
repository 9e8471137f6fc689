"""Plans of locked triggers are computed in short steps, and a change that takes long is refused."""

import threading
import time

import httpx
import pytest

from event_trigger.calendars import replanning
from event_trigger.calendars.replanning import (
    MOST_SECONDS,
    STEP_SECONDS,
    PlanningSteps,
    TooMuchToPlan,
)
from tests.support.calendars import put_calendar
from tests.support.problems import problem_of
from tests.support.triggers import make_scheduled, read

DETAILS = {
    "cron": "0 9 * * *",
    "from": "2099-03-01T00:00:00Z",
    "except": [{"calendar": "closed"}],
}


async def test_a_step_ends_when_its_time_is_over_and_has_a_thread_of_its_own() -> None:
    steps, items = PlanningSteps(), range(100)

    names = await steps.take(lambda _: threading.current_thread().name, items)
    slow = await steps.take(lambda _: time.sleep(STEP_SECONDS), items)

    assert {one.rstrip("0123456789") for one in names} == {"calendar-plans_"}
    assert len(slow) == 1


async def test_steps_that_have_taken_too_long_are_refused() -> None:
    with pytest.raises(TooMuchToPlan):
        await PlanningSteps(spent=MOST_SECONDS).take(str, [1])


async def test_steps_of_one_trigger_each_plan_all_of_them(
    ada: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_calendar(ada, "closed")
    made = [await make_scheduled(ada, DETAILS) for _ in range(4)]
    for one in made[::2]:
        await ada.post(f"/triggers/{one['id']}/pause")
    monkeypatch.setattr(replanning, "STEP_SECONDS", -1)

    await put_calendar(ada, "closed", "2099-03-01")
    for one in made[::2]:
        await ada.post(f"/triggers/{one['id']}/resume")
    followed = {(await read(ada, one["id"]))["next_fire_at"] for one in made}
    monkeypatch.setattr(replanning, "MOST_SECONDS", 0)
    refused = await ada.put("/calendars/closed", json={"dates": []})

    monkeypatch.setattr(replanning, "MOST_SECONDS", MOST_SECONDS)
    monkeypatch.setattr(replanning, "MOST_TRIGGERS", 3)
    too_many = await ada.put("/calendars/closed", json={"dates": []})

    assert followed == {"2099-03-02T09:00:00Z"}
    assert "another calendar" in problem_of(refused, 422)["detail"]
    assert problem_of(too_many, 422) == problem_of(refused, 422)
    assert (await ada.get("/calendars/closed")).json()["dates"] == ["2099-03-01"]
