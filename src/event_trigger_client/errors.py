"""The exceptions of this package: problems that the service answers, and missing answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx

_TYPE = "urn:event-trigger:problem:"
_NO_TYPE = "about:blank"  # RFC 9457: the status says all
LONGEST_DETAIL = 500  # of an answer that is no problem, such as a proxy's page


class EventTriggerError(Exception):
    """The base of all exceptions of this package."""


class Unreachable(EventTriggerError):
    """A call without an answer: it could not connect, or the connection broke.

    `is_sent` says whether the service may have done what was asked.
    """

    def __init__(self, method: str, url: httpx.URL, cause: Exception, *, is_sent: bool) -> None:
        kind = type(cause).__name__
        reason = f"{kind}: {cause}" if str(cause) else kind
        unknown = " It is not known whether the service did this." if is_sent else ""
        self.method = method
        self.url = shown(url)
        super().__init__(f"{method} {self.url} has no answer ({reason}).{unknown}")
        self.is_sent = is_sent


class UnexpectedAnswer(EventTriggerError):
    """An answer that this service does not give; the URL is probably another one's."""


@dataclass(frozen=True)
class FieldError:
    """One invalid part of a request: `pointer` is its place in the body, as in `#/details/cron`.

    For a part of the query, `parameter` is its name instead.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(EventTriggerError):
    """An error that the service answered (RFC 9457); `detail` says what to write instead."""

    slug: ClassVar[str | None] = None

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.type = str(body.get("type", _NO_TYPE))
        self.title = str(body.get("title", ""))
        self.detail = str(body.get("detail", ""))
        self.errors = tuple(
            FieldError(one.get("detail", ""), one.get("pointer"), one.get("parameter"))
            for one in body.get("errors", ())
        )
        self.headers = httpx.Headers(headers)
        super().__init__(f"{status} {self.title}: {self._told()}")

    def _told(self) -> str:
        places = [f"{one.pointer or one.parameter}: {one.detail}" for one in self.errors]
        return "; ".join(places) or self.detail

    @property
    def pointers(self) -> tuple[str, ...]:
        """The invalid places in the body."""
        return tuple(one.pointer for one in self.errors if one.pointer is not None)

    @property
    def request_id(self) -> str | None:
        """The id under which the service's log has this request."""
        found: str | None = self.headers.get("X-Request-ID")
        return found

    @property
    def retry_after(self) -> float | None:
        """The seconds after which the service would like to hear of this again."""
        return seconds_of(self.headers.get("Retry-After"))


class BadRequest(Problem):
    """400."""


class Unauthorized(Problem):
    """401: no valid token."""


class Reauthenticate(Unauthorized):
    """401: this needs a login whose password was given within the last 15 minutes."""

    slug = "reauthenticate"


class Forbidden(Problem):
    """403: the token is valid, and does not allow this."""


class MissingScope(Forbidden):
    """403: the token lacks a scope, which `detail` names."""

    slug = "missing-scope"


class NotFound(Problem):
    """404: it does not exist, or belongs to another project."""


class Conflict(Problem):
    """409: what there is does not allow this."""


class KeyTaken(Conflict):
    """409: the project has something else with this key."""

    slug = "key-taken"


class TriggerPaused(Conflict):
    """409: a paused trigger does not fire."""

    slug = "trigger-paused"


class StillRunning(Conflict):
    """409: the first call with this Idempotency-Key has not ended yet."""

    slug = "idempotency-key-in-use"


class PreconditionFailed(Problem):
    """412: it is not as `If-Match` or `If-None-Match` expects."""


class PlanStale(PreconditionFailed):
    """412: something has moved since the plan of a set was made."""

    slug = "plan-stale"


class TooLarge(Problem):
    """413: the body is too large."""


class Invalid(Problem):
    """422: the request is not valid; `errors` and `pointers` name the places."""


class TooManyRequests(Problem):
    """429: ask again after `retry_after` seconds."""


class ServerError(Problem):
    """5xx: the service, or a proxy before it, is at fault."""


class Unavailable(ServerError):
    """502, 503 or 504: it may work again soon."""


_BY_STATUS: dict[int, type[Problem]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_NAMED = (Reauthenticate, MissingScope, KeyTaken, TriggerPaused, StillRunning, PlanStale)
_BY_TYPE: dict[str, type[Problem]] = {f"{_TYPE}{one.slug}": one for one in _NAMED}


def problem_of(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Problem:
    """Makes the exception of a problem: by its type, or else by its status."""
    by_status = _BY_STATUS.get(status, ServerError if status >= 500 else Problem)
    kind = _BY_TYPE.get(str(body.get("type")), by_status)
    return kind(status, body, headers)


def problem_in(response: httpx.Response) -> Problem:
    """Reads the problem of an answer, which a proxy may have given."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"title": response.reason_phrase, "detail": response.text[:LONGEST_DETAIL]}
    return problem_of(response.status_code, body, response.headers)


def shown(url: httpx.URL) -> str:
    """Writes an address without a password and a query, which may be secret."""
    return str(url.copy_with(userinfo=b"", query=None))


def seconds_of(retry_after: str | None) -> float | None:
    """Reads `Retry-After`, which this service always writes in seconds."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return None
    return float(retry_after)
