"""A patch to another kind of schedule is told which stored members it has to set to null."""

from typing import Any

import pytest

from event_trigger.triggers.schedule.leftovers import leftovers

BERLIN = {"timezone": "Europe/Berlin"}
EVERY = {"interval": "PT5M", "recurring": True}
CIVIL = {"time": "2027-01-31T09:00:00", "interval": "P1M", "recurring": True, **BERLIN}
RULE = {"rrule": "FREQ=DAILY", "time": "2027-01-01T09:00:00", **BERLIN}


@pytest.mark.parametrize(
    ("stored", "patch", "named"),
    [
        ({"cron": "@daily", **BERLIN}, EVERY, ["cron", "timezone"]),
        (EVERY, {"cron": "@daily"}, ["interval"]),
        ({**EVERY, "time": "2027-01-01T09:00:00Z"}, {"cron": "@daily"}, ["interval", "time"]),
        (RULE, {"cron": "@daily"}, ["rrule", "time"]),
        ({"cron": "@daily"}, RULE, ["cron"]),
        (CIVIL, {"rrule": "FREQ=DAILY"}, ["interval"]),
        (
            {**CIVIL, "month_end": "skip"},
            {"interval": "PT5M"},
            ["timezone", "month_end", "time"],
        ),
        (
            {**EVERY, "max_fires": 3, "spread": "PT1M"},
            {"recurring": False},
            ["max_fires", "spread"],
        ),
        (EVERY, {"cron": "@never"}, []),
        ({"cron": "@daily"}, {"until": "2027-01-01T09:00:00Z"}, []),
    ],
)
def test_they_are_those_without_which_the_patch_makes_a_schedule(
    stored: dict[str, Any], patch: dict[str, Any], named: list[str]
) -> None:
    assert leftovers({**stored, **patch}, patch) == named
