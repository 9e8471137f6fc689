"""Finds the members of details that a patch to another kind of schedule left behind."""

from collections.abc import Mapping
from typing import Any

from event_trigger.triggers.schedule.bases import FIRST_INSTANT
from event_trigger.triggers.schedule.errors import ScheduleError
from event_trigger.triggers.schedule.plan import plan_of

_OF_ELAPSED_TIME = ("interval", "time")
_OF_A_CALENDAR = ("timezone", "month_end")


def leftovers(
    merged: Mapping[str, Any], patch: Mapping[str, Any]
) -> tuple[list[str], ScheduleError | None]:
    """Names the stored members of a refused patch to set to null, and what is wrong besides.

    Takes away, one by one, the member that the refusal names or, if the patch has that, another
    that belongs to a kind of schedule, until the rest makes a schedule. Without a way to one, it
    stops where the patch itself is refused for another reason than at first; else it names none.
    """
    left, removed = dict(merged), list[str]()
    first: ScheduleError | None = None
    besides: tuple[list[str], ScheduleError | None] = [], None
    of_lines = patch.get("cron") is not None or patch.get("rrule") is not None
    parts = (_OF_ELAPSED_TIME, _OF_A_CALENDAR) if of_lines else (_OF_A_CALENDAR, _OF_ELAPSED_TIME)
    order = ("cron", "rrule", *parts[0], *parts[1])
    while True:
        try:
            plan_of(left, anchor=FIRST_INSTANT)
        except ScheduleError as error:
            first = first or error
            if besides[1] is None and error.field in patch and error.message != first.message:
                besides = [*removed], error
            stored = [name for name in left if name not in patch and left[name] is not None]
            others = (name for name in order if name in stored)
            name = error.field if error.field in stored else next(others, None)
            if name is None:
                return besides
            removed.append(name)
            del left[name]
        else:
            return removed, None
