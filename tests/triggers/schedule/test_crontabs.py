"""Real crontabs fire at the instants of an independent reference, over clock changes too."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from event_trigger.instants import instant_text, just_after, parse_instant
from event_trigger.triggers.schedule.bases import END_OF_TIME
from event_trigger.triggers.schedule.details import schedule_from
from event_trigger.triggers.schedule.schedules import instants_in

CASES = json.loads((Path(__file__).parent / "cases" / "crontabs.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[one["cron"] for one in CASES])
def test_fires_at_the_instants_of_the_reference(case: dict[str, Any]) -> None:
    for one in case["cases"]:
        after = parse_instant(one["after"])
        details = {"cron": case["cron"], "timezone": one["timezone"]}

        schedule = schedule_from(details, anchor=after)
        found = instants_in(schedule, since=just_after(after), until=END_OF_TIME)

        assert [instant_text(at) for at in islice(found, len(one["next"]))] == one["next"], one
