"""Writes the status of heartbeats as conditions in SQL, by which lists of triggers are filtered."""

from collections.abc import Mapping

from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus

IS_SILENT = "silent_since IS NOT NULL"
_ACTIVE = "type = 'heartbeat' AND status = 'active'"
_IS_WAITING = "silent_since IS NULL AND last_ping_at IS NULL AND run_started_at IS NULL"
_EXPECTS = "silent_since IS NULL AND (last_ping_at IS NOT NULL OR run_started_at IS NOT NULL)"
# what `triggers/schedule/interval.py` accepts; anything else would fail the statement
_DURATION = r"^P([0-9.,]+W)?([0-9.,]+D)?(T([0-9.,]+H)?([0-9.,]+M)?([0-9.,]+S)?)?$"


def _duration(member: str) -> str:
    """Reads a member of the details: minutes, or an ISO 8601 duration; else null."""
    written = f"details ->> '{member}'"
    seconds = f"extract(epoch FROM CAST(replace({written}, ',', '.') AS interval))"
    return (
        f"CASE WHEN json_typeof(details -> '{member}') = 'number'"
        f" THEN CAST({written} AS float8) * interval '1 minute'"
        f" WHEN {written} ~ '{_DURATION}' THEN {seconds} * interval '1 second' END"
    )


# a stored deadline is right for cron lines; after many pings in a row, that of an interval is not
_EXPECTED_AT = (
    f"CASE WHEN details ->> 'interval' IS NULL THEN next_fire_at - ({_duration('grace')})"
    f" ELSE anchor_at + ({_duration('interval')}) END"
)
_CONDITIONS: Mapping[HeartbeatStatus, tuple[str, str]] = {
    HeartbeatStatus.WAITING: (_ACTIVE, _IS_WAITING),
    HeartbeatStatus.ALIVE: (f"{_ACTIVE} AND {_EXPECTS}", f"now() <= {_EXPECTED_AT}"),
    HeartbeatStatus.LATE: (f"{_ACTIVE} AND {_EXPECTS}", f"now() > {_EXPECTED_AT}"),
    HeartbeatStatus.SILENT: (_ACTIVE, IS_SILENT),
    HeartbeatStatus.PAUSED: ("type = 'heartbeat'", "status = 'paused'"),
}


def has_status(wanted: HeartbeatStatus) -> str:
    """Returns the condition; only details of heartbeats are read, as CASE keeps the order."""
    known, condition = _CONDITIONS[wanted]
    return f"CASE WHEN {known} THEN {condition} END"
