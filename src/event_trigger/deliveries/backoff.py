"""When a failed attempt is made again: arithmetic on a schedule of waits."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

JITTER = 0.2  # so that what failed together does not come back together
LONGEST_RETRY_AFTER = timedelta(hours=24)
HELD_FREE_FOR = timedelta(hours=24)  # then a receiver that never takes it costs tries again
_LEAST_SHARE = 10
_SECONDS = re.compile(r"[0-9]+", re.ASCII)


def backoff(tries: int, schedule: Sequence[float], *, jitter: float) -> timedelta | None:
    """The wait after the last of `tries` failed attempts, 1 or more; None when that was the last.

    `schedule` is in seconds; `jitter`, from -1 to 1, moves a wait by up to a fifth.
    """
    if tries > len(schedule):
        return None
    return timedelta(seconds=schedule[tries - 1] * (1 + JITTER * jitter))


def parse_retry_after(value: str, *, now: datetime) -> timedelta | None:
    """Reads seconds or a date (RFC 9110, section 10.2.3), as 24 hours at the most.

    None is nothing to wait for: not readable, or past.
    """
    value = value.strip()
    if _SECONDS.fullmatch(value):
        longest = LONGEST_RETRY_AFTER // timedelta(seconds=1)
        wait = timedelta(seconds=longest if len(value) > 9 else min(int(value), longest))
    else:
        try:
            at = parsedate_to_datetime(value)
            wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(wait, LONGEST_RETRY_AFTER) if wait > timedelta(0) else None


def wait_while_held(asked: timedelta, *, age: timedelta) -> timedelta | None:
    """The wait of a delivery whose destination is held, when that costs no try; else None.

    A tenth of its `age` (since it was queued) at least: a receiver that asks for a second again and
    again is asked a hundred times a day for one delivery, and not once each second.
    """
    return max(asked, age / _LEAST_SHARE) if age < HELD_FREE_FOR else None
