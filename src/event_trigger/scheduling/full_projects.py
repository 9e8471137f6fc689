"""Logs the projects whose triggers do not fire, since their events have reached the limit."""

import time
from collections.abc import Collection

import structlog

from event_trigger.db.errors import REPEAT_AFTER_SECONDS

log = structlog.get_logger()


class FullProjects:
    """Logs a project when a due trigger of it does not fire, and then once a minute at most."""

    def __init__(self) -> None:
        self._logged_at: dict[int, float] = {}

    def note(self, project_ids: Collection[int]) -> None:
        now = time.monotonic()
        self._logged_at = {
            one: at for one, at in self._logged_at.items() if now - at < REPEAT_AFTER_SECONDS
        }
        if new := sorted({*project_ids} - self._logged_at.keys()):
            self._logged_at |= dict.fromkeys(new, now)
            log.warning("events_full", project_ids=new)


full_projects = FullProjects()  # of this process
