"""Logs attempts that somebody has to do something about: TLS, redirects, and slow rendering."""

from collections.abc import Callable, Collection
from urllib.parse import urlsplit

import structlog

from event_trigger.deliveries.attempt import Attempt
from event_trigger.deliveries.attempt_result import AttemptResult
from event_trigger.models import DeliveryError

log = structlog.get_logger()

REPEAT_AFTER_SECONDS = 60.0  # between two lines about one destination or project
_MOST_REMEMBERED = 1000  # destinations and projects
_MISCONFIGURED, _NOT_RENDERED = "receiver_misconfigured", "requests_not_rendered"
_LOGGED = frozenset({DeliveryError.TLS_FAILED, DeliveryError.REDIRECTED})


class AttemptLog:
    """Writes at most one line of a kind a minute about each destination or project."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that never go back."""
        self._clock = clock
        self._logged_at: dict[tuple[str, int], float] = {}  # by kind and id, the oldest first

    def note(self, attempt: Attempt, result: AttemptResult) -> None:
        """Logs a failure of TLS or a redirect that may be told of.

        Of the location only the origin, since paths and queries may hold secrets.
        """
        if result.error not in _LOGGED or result.reason is result.location is None:
            return
        if self._is_due(_MISCONFIGURED, attempt.destination_id):
            log.warning(
                _MISCONFIGURED,
                destination_id=attempt.destination_id,
                delivery_id=attempt.delivery_id,
                error=result.error,
                **_details(result),
            )

    def note_unrendered(self, attempts: Collection[Attempt]) -> None:
        """Logs that deliveries of one project have to wait, since they had no turn in time."""
        first = next(iter(attempts))
        if self._is_due(_NOT_RENDERED, first.owner_id):
            log.warning(
                _NOT_RENDERED,
                project_id=first.owner_id,
                delivery_id=first.delivery_id,
                count=len(attempts),
            )

    def _is_due(self, kind: str, about: int) -> bool:
        key = kind, about
        now, logged_at = self._clock(), self._logged_at.get(key)
        if logged_at is not None and now - logged_at < REPEAT_AFTER_SECONDS:
            return False
        self._logged_at.pop(key, None)
        if len(self._logged_at) >= _MOST_REMEMBERED:
            del self._logged_at[next(iter(self._logged_at))]
        self._logged_at[key] = now
        return True


def _details(result: AttemptResult) -> dict[str, str]:
    if result.reason is not None:
        return {"reason": result.reason}
    origin = origin_in(result.location or "")
    return {} if origin is None else {"location": origin}


def origin_in(location: str) -> str | None:
    """Returns the scheme and host of an absolute URL, and None for anything else."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not host:
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")
