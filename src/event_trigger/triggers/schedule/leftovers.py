"""Finds the members of details that a patch to another kind of schedule left behind."""

from collections.abc import Mapping
from typing import Any

from event_trigger.triggers.schedule.bases import FIRST_INSTANT
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.plan import plan_of

_OF_ELAPSED_TIME = ("interval", "time")
_OF_A_CALENDAR = ("timezone", "month_end")


def leftovers(merged: Mapping[str, Any], patch: Mapping[str, Any]) -> list[str]:
    """Names the stored members to set to null, so that a refused patch makes a schedule.

    Takes away, one by one, the member that the refusal names or, if the patch has that, another
    that belongs to a kind of schedule. Without a way to a schedule there are none.
    """
    left, removed = dict(merged), list[str]()
    of_lines = patch.get("cron") is not None or patch.get("rrule") is not None
    parts = (_OF_ELAPSED_TIME, _OF_A_CALENDAR) if of_lines else (_OF_A_CALENDAR, _OF_ELAPSED_TIME)
    order = ("cron", "rrule", *parts[0], *parts[1])
    while True:
        try:
            plan_of(left, anchor=FIRST_INSTANT)
        except ScheduleError as error:
            stored = [name for name in left if name not in patch and left[name] is not None]
            others = (name for name in order if name in stored)
            name = error.field if error.field in stored else next(others, None)
            if name is None:
                return []
            removed.append(name)
            del left[name]
        else:
            return removed
