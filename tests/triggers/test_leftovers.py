"""A patch to another kind of schedule is told which stored members it has to set to null."""

from typing import Any

import pytest

from event_trigger.triggers.configuration import leftovers

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
        ({"cron": "@daily"}, {"until": "2027-01-01T09:00:00Z"}, []),
    ],
)
def test_they_are_those_without_which_the_patch_makes_a_schedule(
    stored: dict[str, Any], patch: dict[str, Any], named: list[str]
) -> None:
    assert leftovers({**stored, **patch}, patch) == (named, None)


@pytest.mark.parametrize(
    ("stored", "patch", "named", "told"),
    [
        ({"cron": "@daily", **BERLIN}, {"rrule": "FREQ=DAILY"}, ["cron"], "rrule needs time"),
        (EVERY, {"rrule": "FREQ=DAILY"}, ["interval"], "rrule needs time"),
        (EVERY, {"cron": "@never"}, ["interval"], "cron has no such name"),
        (RULE, {"cron": "@never"}, ["rrule", "time"], "cron has no such name"),
    ],
)
def test_what_else_is_wrong_with_the_patch_is_told_too(
    stored: dict[str, Any], patch: dict[str, Any], named: list[str], told: str
) -> None:
    found, refusal = leftovers({**stored, **patch}, patch)

    assert found == named
    assert refusal is not None
    assert told in refusal.message


def test_none_is_named_where_that_would_not_help() -> None:
    patch = {"cron": "@never"}

    assert leftovers({"cron": "@daily", **BERLIN, **patch}, patch) == ([], None)
