"""Events are active for 2 hours, archived for 46, then gone: to the microsecond."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.events.window import Retention, visible_window
from event_trigger.models import EventState

INSTANT = timedelta(microseconds=1)
NOW = datetime(2026, 3, 13, 12, tzinfo=UTC)
RETENTION = Retention(active_for=timedelta(hours=2), keep_for=timedelta(hours=48))

spans = st.timedeltas(timedelta(0), timedelta(hours=60))
ages = st.timedeltas(-timedelta(hours=1), timedelta(hours=60)) | st.sampled_from(
    [
        edge + step * INSTANT
        for edge in (timedelta(0), RETENTION.active_for, RETENTION.keep_for)
        for step in (-1, 0, 1)
    ]
)
filters = st.none() | ages.map(lambda age: NOW - age)
retentions = st.tuples(
    st.timedeltas(INSTANT, timedelta(hours=3)), st.timedeltas(INSTANT, timedelta(hours=60))
).map(lambda pair: Retention(active_for=pair[0], keep_for=pair[0] + pair[1]))


def shows(
    retention: Retention,
    triggered_at: datetime,
    *,
    state: EventState | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> bool:
    window = visible_window(retention, now=NOW, state=state, since=since, until=until)
    return window.start <= triggered_at and (window.end is None or triggered_at < window.end)


@pytest.mark.parametrize(
    ("age", "state", "visible"),
    [
        (timedelta(0), EventState.ACTIVE, True),
        (timedelta(hours=2) - INSTANT, EventState.ACTIVE, True),
        (timedelta(hours=2), EventState.ARCHIVED, True),
        (timedelta(hours=48) - INSTANT, EventState.ARCHIVED, True),
        (timedelta(hours=48), EventState.ARCHIVED, False),
    ],
)
def test_an_event_changes_state_at_two_hours_and_is_gone_at_forty_eight(
    age: timedelta, state: EventState, *, visible: bool
) -> None:
    triggered_at = NOW - age

    assert RETENTION.state_of(triggered_at, now=NOW) is state
    assert shows(RETENTION, triggered_at) is visible
    assert shows(RETENTION, triggered_at, state=state) is visible


def test_since_is_inclusive_and_until_is_not() -> None:
    at = NOW - timedelta(hours=3)

    assert shows(RETENTION, at, since=at)
    assert not shows(RETENTION, at, since=at + INSTANT)
    assert shows(RETENTION, at, until=at + INSTANT)
    assert not shows(RETENTION, at, until=at)


@given(retention=retentions, age=ages, since=filters, until=filters)
def test_an_event_is_shown_if_it_is_kept_and_every_filter_takes_it(
    retention: Retention, age: timedelta, since: datetime | None, until: datetime | None
) -> None:
    at = NOW - age
    wanted = (
        age < retention.keep_for
        and (since is None or since <= at)
        and (until is None or at < until)
    )

    assert shows(retention, at, since=since, until=until) is wanted


@given(retention=retentions, age=ages, since=filters, until=filters)
def test_each_event_is_found_under_its_state_and_no_other(
    retention: Retention, age: timedelta, since: datetime | None, until: datetime | None
) -> None:
    at = NOW - age
    found = [
        state for state in EventState if shows(retention, at, state=state, since=since, until=until)
    ]

    visible = shows(retention, at, since=since, until=until)
    assert found == ([retention.state_of(at, now=NOW)] if visible else [])


@given(age=ages, later=spans)
def test_time_only_takes_away(age: timedelta, later: timedelta) -> None:
    at = NOW - age
    then = NOW + later

    if not shows(RETENTION, at):
        window = visible_window(RETENTION, now=then)
        assert at < window.start
    if RETENTION.state_of(at, now=NOW) is EventState.ARCHIVED:
        assert RETENTION.state_of(at, now=then) is EventState.ARCHIVED
