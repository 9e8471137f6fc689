"""Names what heartbeats tell, and why; it imports no table, so that schedules can use it."""

from enum import StrEnum


class ChangedState(StrEnum):
    """The states that a heartbeat tells by an event."""

    SILENT = "silent"
    ALIVE = "alive"


class ChangeReason(StrEnum):
    NO_PING = "no_ping"  # none came until the deadline
    FAILED = "failed"  # a ping of `/fail`
    EXIT_CODE = "exit_code"  # a ping with an exit code other than 0
    PINGED = "pinged"  # the first good ping after a silence
