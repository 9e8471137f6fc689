"""The dates of calendars are merged for the details that name them."""

import pytest

from event_trigger.errors import Invalid
from event_trigger.triggers.references import excluded_days

FOUND = {"a": [3, 1], "b": [2, 3]}


def test_dates_are_merged_and_none_is_no_calendar() -> None:
    both = {"except": ["2026-12-25", {"calendar": "b"}, {"calendar": "a"}, {"calendar": "b"}]}

    assert excluded_days(both, FOUND) == [1, 2, 3]
    assert excluded_days({"except": ["2026-12-25"]}, FOUND) is None
    assert excluded_days({}, FOUND) is None


def test_a_calendar_that_is_not_there_is_refused_at_its_place() -> None:
    with pytest.raises(Invalid) as refusal:
        excluded_days({"except": ["2026-12-25", {"calendar": "c"}]}, FOUND)

    assert [one.name for one in refusal.value.errors] == ["#/details/except/1/calendar"]
