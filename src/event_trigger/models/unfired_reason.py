"""Names why a planned instant has no event; it imports no table, so that schedules can use it."""

from enum import StrEnum


class UnfiredReason(StrEnum):
    MISSED = "missed"  # nothing fired in time, and the trigger does not catch up
    COALESCED = "coalesced"  # a newer one fired for it
    EXPIRED = "expired"  # it was longer ago than the trigger looks back
    PAUSED = "paused"
    REPLACED = "replaced"  # another schedule took effect before it could fire
    DELETED = "deleted"
    FAILED = "failed"  # the trigger was set aside, or the project has no room for events
