"""Limits the mails of each project, so that nobody floods others in the operator's name."""

import time
from collections.abc import Callable
from math import ceil, floor

_MINUTE = 60.0  # seconds
_MOST_REMEMBERED = 1000  # projects


class MailAllowances:
    """Counts the mails that this process has begun for each project (GCRA); 0 is no limit."""

    def __init__(self, per_minute: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back."""
        self._each = _MINUTE / per_minute if per_minute else 0.0
        self._clock = clock
        self._paid_until: dict[int, float] = {}

    def room(self, project_id: int, wanted: int) -> int:
        """Returns how many of the `wanted` mails the project may send now."""
        if not self._each:
            return wanted
        free = floor((_MINUTE - self._debt(project_id)) / self._each + 1e-6)
        return max(0, min(wanted, free))

    def used_by(self, project_id: int) -> int:
        """Returns the mails of the last minute, or a little more; 0 without a limit."""
        return ceil(self._debt(project_id) / self._each - 1e-6) if self._each else 0

    def take(self, project_id: int, count: int) -> None:
        if not self._each:
            return
        now = self._clock()
        if len(self._paid_until) >= _MOST_REMEMBERED:
            self._paid_until = {key: at for key, at in self._paid_until.items() if at > now}
        self._paid_until[project_id] = now + self._debt(project_id) + count * self._each

    def seconds_until_next(self, project_id: int) -> float:
        return max(0.0, self._debt(project_id) - _MINUTE + self._each)

    def _debt(self, project_id: int) -> float:
        return max(0.0, self._paid_until.get(project_id, 0.0) - self._clock())
