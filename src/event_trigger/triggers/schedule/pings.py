"""Decides what a ping makes of a heartbeat, and what its events say; without database and clock."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Self

from event_trigger.instants import instant_text
from event_trigger.models.heartbeat_states import ChangedState, ChangeReason
from event_trigger.triggers.schedule.heartbeat import Heartbeat, HeartbeatStatus

_MILLISECOND = timedelta(milliseconds=1)
MOST_EXIT_CODE = 255


class PingKind(StrEnum):
    SUCCESS = "success"
    START = "start"
    FAIL = "fail"


class Ping(NamedTuple):
    """A ping: its kind, and the exit code that made it a success or a failure, if one was sent."""

    kind: PingKind
    exit_code: int | None = None

    @classmethod
    def of(cls, signal: str | None) -> Self | None:
        """Reads the last part of a ping's path, behind the token; None for one that is no ping."""
        if signal is None:
            return cls(PingKind.SUCCESS)
        if signal in {PingKind.START, PingKind.FAIL}:
            return cls(PingKind(signal))
        if not (signal.isascii() and signal.isdecimal() and len(signal) <= len("255")):
            return None
        code = int(signal)
        if code > MOST_EXIT_CODE:
            return None
        return cls(PingKind.FAIL if code else PingKind.SUCCESS, code)


class HeartbeatState(NamedTuple):
    """The stored state of a heartbeat that is not paused.

    The next ping is expected after `base`, unless it is silent or waits for its first ping.
    """

    base: datetime
    last_ping_at: datetime | None = None
    run_started_at: datetime | None = None
    silent_since: datetime | None = None

    @property
    def is_waiting(self) -> bool:
        known = (self.last_ping_at, self.run_started_at, self.silent_since)
        return known == (None, None, None)

    @property
    def is_expecting(self) -> bool:
        """Tells whether it has a deadline."""
        return self.silent_since is None and not self.is_waiting

    def deadline(self, heartbeat: Heartbeat) -> datetime | None:
        return heartbeat.deadline_after(self.base) if self.is_expecting else None

    def status_at(self, heartbeat: Heartbeat, now: datetime) -> HeartbeatStatus:
        if self.silent_since is not None:
            return HeartbeatStatus.SILENT
        if self.is_waiting:
            return HeartbeatStatus.WAITING
        is_late = now > heartbeat.expected_after(self.base)
        return HeartbeatStatus.LATE if is_late else HeartbeatStatus.ALIVE

    def counted_from(self, now: datetime) -> Self:
        """Gives an alive heartbeat a full period from now: it was resumed, or changed."""
        return self._replace(base=max(self.base, now)) if self.is_expecting else self


class HeartbeatEvent(NamedTuple):
    """An event that tells a change: its payload is `members` over the predefined payload."""

    state: ChangedState
    reason: ChangeReason
    members: dict[str, Any]
    deadline_at: datetime | None = None

    def payload_over(self, predefined: str | None) -> str:
        """Writes the payload as JSON: the members over those of the predefined payload."""
        known = {} if predefined is None else json.loads(predefined)
        return json.dumps(known | self.members, ensure_ascii=False)


class Pinged(NamedTuple):
    """A heartbeat after pings, and the event that one of them makes, if any."""

    state: HeartbeatState
    event: HeartbeatEvent | None = None


def after_ping(state: HeartbeatState, ping: Ping, at: datetime) -> Pinged:
    """Applies a ping.

    1. A start begins the measured run, and starts a heartbeat that waits. It is no sign of success.
    2. A failure makes a heartbeat silent at once; a silent one stays so, without another event.
    3. A success moves the deadline on, and tells that a silent heartbeat is alive again.
    """
    known = (state.last_ping_at, state.run_started_at, state.silent_since)
    at = max(at, *(one for one in known if one is not None), at)  # a clock may have been set back
    if ping.kind is PingKind.START:
        base = at if state.is_waiting else state.base
        return Pinged(state._replace(base=base, run_started_at=at))
    told: dict[str, Any] = {"exit_code": ping.exit_code, "duration_ms": _duration(state, at)}
    is_failure = ping.kind is PingKind.FAIL
    silent_since = (state.silent_since or at) if is_failure else None
    after = HeartbeatState(state.base if is_failure else at, at, None, silent_since)
    if is_failure == (state.silent_since is not None):
        return Pinged(after)
    if is_failure:
        reason = ChangeReason.FAILED if ping.exit_code is None else ChangeReason.EXIT_CODE
        return Pinged(after, _event(ChangedState.SILENT, reason, last_ping_at=at, **told))
    told["silent_since"] = state.silent_since
    return Pinged(after, _event(ChangedState.ALIVE, ChangeReason.PINGED, last_ping_at=at, **told))


def silence(state: HeartbeatState, heartbeat: Heartbeat, *, now: datetime) -> Pinged:
    """Makes a heartbeat silent whose deadline has passed without a ping."""
    deadline_at = heartbeat.deadline_after(state.base)
    event = _event(
        ChangedState.SILENT,
        ChangeReason.NO_PING,
        last_ping_at=state.last_ping_at,
        expected_at=heartbeat.expected_after(state.base),
        deadline_at=deadline_at,
        started_at=state.run_started_at,
    )
    return Pinged(state._replace(silent_since=now), event._replace(deadline_at=deadline_at))


_MEMBERS: Iterable[str] = (
    *("last_ping_at", "expected_at", "deadline_at", "silent_since", "started_at"),
    *("exit_code", "duration_ms"),
)


def _event(state: ChangedState, reason: ChangeReason, **told: Any) -> HeartbeatEvent:
    members = {name: _written(told.get(name)) for name in _MEMBERS}
    return HeartbeatEvent(state, reason, {"state": state, "reason": reason, **members})


def _written(value: Any) -> Any:
    return instant_text(value) if isinstance(value, datetime) else value


def _duration(state: HeartbeatState, at: datetime) -> int | None:
    started_at = state.run_started_at
    return None if started_at is None else (at - started_at) // _MILLISECOND
