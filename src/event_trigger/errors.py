"""Every way in which a request can fail, as RFC 9457 problems that name what to change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One refused part of a request: `source` is `pointer` (RFC 6901) or `parameter`."""

    source: str
    name: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {self.source: self.name, "detail": self.detail}


def pointer(*path: str | int) -> str:
    """Writes a path into the body as a URI fragment JSON Pointer (RFC 6901, section 6)."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "#" + "".join(f"/{part}" for part in escaped)


class Problem(Exception):
    """The base of all answers that are errors; `detail` never holds input or secrets."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    default_detail: ClassVar[str] = ""
    keeps_writes: ClassVar[bool] = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail or self.default_detail)
        self.detail = detail or self.default_detail
        self.headers = dict(headers or {})
        self.errors = tuple(errors)


class BadRequest(Problem):
    status, slug, title = 400, "bad-request", "Bad request"


class UnknownHost(BadRequest):
    slug, title = "unknown-host", "Unknown host"
    default_detail = "The service is not known by this name. Use the one that it was given."


class Unauthorized(Problem):
    """Answers 401 with the challenge that RFC 6750 asks for."""

    status, slug, title = 401, "unauthorized", "Not signed in"
    default_detail = "Send a valid, unexpired token as 'Authorization: Bearer …'."

    challenge: ClassVar[str] = "Bearer"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": self.challenge})


class Forbidden(Problem):
    """Answers 403: it is known who is calling, and that they may not do this."""

    status, slug, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    status, slug, title = 404, "not-found", "Not found"
    default_detail = "There is nothing here, or it is not yours."


class RequestTimedOut(Problem):
    status, slug, title = 408, "request-timeout", "Request timeout"
    default_detail = "The rest of the request did not come. Send all of it, without long pauses."


class Conflict(Problem):
    status, slug, title = 409, "conflict", "Conflict"


class TooLarge(Problem):
    status, slug, title = 413, "content-too-large", "Content too large"
    default_detail = "The body is too large: 1 MiB at the most, 16 KiB to sign in. Send less."


class UnsupportedMediaType(Problem):
    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"
    default_detail = "Send the body as JSON with 'Content-Type: application/json'."


class Invalid(Problem):
    status, slug, title = 422, "invalid", "The request is not valid"

    @classmethod
    def at(cls, path: Sequence[str | int], detail: str) -> "Invalid":
        """Refuses one place in the body, with words that say what to change."""
        return cls(detail, errors=[FieldError("pointer", pointer(*path), detail)])


class Unavailable(Problem):
    """Answers 503: the service's own fault, worth trying again."""

    status, slug, title = 503, "unavailable", "Not available right now"
    default_detail = (
        "The database does not answer right now. Try again; whether a change was made is not"
        " known, so repeat a call with the same Idempotency-Key."
    )

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class NotStarted(Unavailable):
    default_detail = (
        "The service has not started yet: /readyz says what it waits for. Try again; nothing was"
        " changed."
    )
