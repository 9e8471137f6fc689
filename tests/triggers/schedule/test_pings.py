"""Pings of heartbeats: any sequence of them makes events that alternate."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.models.heartbeat_states import ChangedState, ChangeReason
from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus, heartbeat_of
from event_trigger.triggers.schedule.pings import (
    HeartbeatEvent,
    HeartbeatState,
    Ping,
    PingKind,
    after_ping,
    silence,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = heartbeat_of({"interval": 60, "grace": "PT5M"})
NEW = HeartbeatState(START)
SUCCESS, FAIL, BEGIN = map(Ping, (PingKind.SUCCESS, PingKind.FAIL, PingKind.START))


@pytest.mark.parametrize("signal", ["256", "999", "1000", "-1", "1.0", "²", "Fail", "stop", ""])
def test_a_path_that_is_no_signal_is_no_ping(signal: str) -> None:
    assert Ping.of(signal) is None


def test_signals_are_read_and_an_exit_code_is_a_success_only_if_it_is_zero() -> None:
    assert (Ping.of(None), Ping.of("fail"), Ping.of("start")) == (SUCCESS, FAIL, BEGIN)
    assert Ping.of("0") == Ping(SUCCESS.kind, 0)
    assert Ping.of("1") == Ping(FAIL.kind, 1)
    assert Ping.of("255") == Ping(FAIL.kind, 255)


def test_the_first_ping_starts_a_heartbeat_without_an_event() -> None:
    pinged = after_ping(NEW, SUCCESS, START + HOUR)

    assert NEW.status_at(HOURLY, START + 9 * HOUR) is HeartbeatStatus.WAITING
    assert NEW.deadline(HOURLY) is None
    assert pinged.event is None
    assert pinged.state.deadline(HOURLY) == START + 2 * HOUR + timedelta(minutes=5)


def test_a_start_begins_a_waiting_heartbeat_and_moves_no_other_deadline() -> None:
    begun = after_ping(NEW, BEGIN, START + HOUR).state
    begun_again = after_ping(begun, BEGIN, START + HOUR + HOUR / 2).state

    assert begun.status_at(HOURLY, START + HOUR) is HeartbeatStatus.ALIVE
    assert begun.deadline(HOURLY) == begun_again.deadline(HOURLY)
    assert begun_again.last_ping_at is None


def test_a_failure_says_how_long_the_run_took_and_its_exit_code() -> None:
    begun = after_ping(NEW, BEGIN, START).state

    pinged = after_ping(begun, Ping(FAIL.kind, 3), START + timedelta(seconds=90))

    assert pinged.event is not None
    assert pinged.event.reason is ChangeReason.EXIT_CODE
    assert pinged.event.members == {
        "state": "silent",
        "reason": "exit_code",
        "last_ping_at": "2026-03-01T12:01:30Z",
        "expected_at": None,
        "deadline_at": None,
        "silent_since": None,
        "started_at": None,
        "exit_code": 3,
        "duration_ms": 90_000,
    }
    assert pinged.state.run_started_at is None


def test_a_silence_says_when_the_ping_was_expected() -> None:
    alive = after_ping(NEW, SUCCESS, START).state

    silent = silence(alive, HOURLY, now=START + 2 * HOUR)

    assert silent.event is not None
    assert silent.event.members["expected_at"] == "2026-03-01T13:00:00Z"
    assert silent.event.members["deadline_at"] == "2026-03-01T13:05:00Z"
    assert silent.event.members["last_ping_at"] == "2026-03-01T12:00:00Z"
    assert silent.event.deadline_at == START + HOUR + timedelta(minutes=5)


def test_a_clock_that_is_set_back_moves_no_ping_back() -> None:
    alive = after_ping(NEW, SUCCESS, START).state

    assert after_ping(alive, SUCCESS, START - HOUR).state == alive


@given(
    st.lists(st.tuples(st.sampled_from([SUCCESS, FAIL, BEGIN]), st.integers(0, 7200)), max_size=30)
)
def test_events_alternate_whatever_comes(pings: list[tuple[Ping, int]]) -> None:
    """Each change is told once: silent and alive take turns, and the first is a silence."""
    state, now, told = NEW, START, list[HeartbeatEvent]()
    for ping, seconds in pings:
        now += timedelta(seconds=seconds)
        deadline_at = state.deadline(HOURLY)
        if deadline_at is not None and deadline_at <= now:
            state, event = silence(state, HOURLY, now=deadline_at)
            assert event is not None
            told.append(event)
        was_silent = state.silent_since is not None
        state, event = after_ping(state, ping, now)
        told += [] if event is None else [event]

        is_silent = state.silent_since is not None
        assert (event is not None) == (was_silent != is_silent)
        assert state.is_expecting == (state.deadline(HOURLY) is not None)

    turns = [ChangedState.SILENT, ChangedState.ALIVE] * len(told)
    assert [one.state for one in told] == turns[: len(told)]
