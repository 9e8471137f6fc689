"""Details have one spelling in which they are stored, and other spellings mean the same."""

from typing import Any

import pytest

from event_trigger.triggers.schedule.canonical import canonical, means_same

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"timezone": "europe/berlin"}, {"timezone": BERLIN}),
        ({"timezone": "Mars/Base"}, {"timezone": "Mars/Base"}),
        ({"cron": "CRON_TZ=europe/berlin @daily"}, {"cron": "@daily", "timezone": BERLIN}),
        (
            {"cron": ["TZ=Europe/Berlin @daily", "0 9 * * *"], "timezone": "EUROPE/BERLIN"},
            {"cron": ["@daily", "0 9 * * *"], "timezone": BERLIN},
        ),
        (  # which of them, the plan asks
            {"cron": "CRON_TZ=Asia/Tokyo @daily", "timezone": BERLIN},
            {"cron": "CRON_TZ=Asia/Tokyo @daily", "timezone": BERLIN},
        ),
        (
            {"time": "2027-07-01T09:00:00Z", "rrule": "FREQ=DAILY", "timezone": "europe/berlin"},
            {"time": "2027-07-01T11:00:00", "rrule": "FREQ=DAILY", "timezone": BERLIN},
        ),
        (
            {"time": "2027-01-01T09:00:00Z", "interval": "P1D", "recurring": True, "timezone": "x"},
            {"time": "2027-01-01T09:00:00Z", "interval": "P1D", "recurring": True, "timezone": "x"},
        ),
        (  # 02:30 the second time, and the first time
            {"time": "2027-10-31T01:30:00Z", "rrule": "FREQ=DAILY", "timezone": BERLIN},
            {"time": "2027-10-31T01:30:00Z", "rrule": "FREQ=DAILY", "timezone": BERLIN},
        ),
        (
            {"time": "2027-10-31T00:30:00Z", "rrule": "FREQ=DAILY", "timezone": BERLIN},
            {"time": "2027-10-31T02:30:00", "rrule": "FREQ=DAILY", "timezone": BERLIN},
        ),
        (  # an instant
            {"time": "2027-07-01T09:00:00Z", "timezone": BERLIN},
            {"time": "2027-07-01T09:00:00Z", "timezone": BERLIN},
        ),
        (
            {"time": "2027-07-01 09:00", "timezone": BERLIN},
            {"time": "2027-07-01 09:00", "timezone": BERLIN},
        ),
    ],
)
def test_zones_and_local_times_are_written_where_they_belong(
    sent: dict[str, Any], stored: dict[str, Any]
) -> None:
    assert canonical(sent) == stored
    assert canonical(stored) == stored


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"interval": "P1Y"}, {"interval": "P12M"}),
    ({"interval": "P7D"}, {"interval": "P1W"}),
    ({"interval": 60}, {"interval": "PT1H"}),
    ({"spread": "PT60M"}, {"spread": "PT1H"}),
    ({"cron": "@daily"}, {"cron": ["@daily"], "timezone": "UTC"}),
    ({"cron": "0  9 * * mon-FRI"}, {"cron": "0 9 * * 1-5", "recurring": True}),
    ({"cron": ["0 9 * * 1", "@daily"]}, {"cron": ["0 0 * * *", "0 9 * * MON", "@daily"]}),
    (
        {"rrule": "RRULE:FREQ=WEEKLY;BYDAY=MO,we;"},
        {"rrule": "BYDAY=WE,MO;FREQ=WEEKLY", "recurring": True},
    ),
    ({"month_end": "last"}, {}),
    ({"except": []}, {}),
    (
        {"except": ["2026-12-25", {"calendar": "a"}]},
        {"except": [{"calendar": "a"}, "2026-12-25", "2026-12-25"]},
    ),
    ({"time": "2027-07-01 09:00"}, {"time": "2027-07-01T09:00:00"}),
]
OTHERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"interval": "P30D"}, {"interval": "P1M"}),
    ({"cron": ["@daily", "@hourly"]}, {"cron": "@daily"}),
    ({"cron": "0 9 * * 1-5"}, {"cron": "0 9 * * 1-6"}),
    ({"cron": "0 9 1 * 1"}, {"cron": "0 9 1 * *"}),
    ({"cron": "a line of a later version"}, {"cron": "0 9 1 * *"}),
    ({"rrule": "FREQ=WEEKLY;BYDAY=MO"}, {"rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=3"}),
    ({"interval": 60, "recurring": True}, {"interval": 60}),
    ({"month_end": "skip"}, {"month_end": "last"}),
    ({"except": ["2026-12-25"]}, {"except": [{"calendar": "a"}]}),
    ({"time": "2027-07-01T09:00:00"}, {"time": "2027-07-01T09:00:00Z"}),
    ({"spread": "PT1H"}, {}),
]


@pytest.mark.parametrize(
    ("one", "other", "same"), [(*pair, True) for pair in SAME] + [(*pair, False) for pair in OTHERS]
)
def test_details_mean_the_same_or_not(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    assert means_same(one, other) is same
    assert means_same(other, one) is same
