"""Defines the errors of the API as RFC 9457 problems, whose details say how to mend a request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class FieldError:
    """Names one invalid part of a request; `source` is `pointer` (RFC 6901) or `parameter`."""

    source: str
    name: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {self.source: self.name, "detail": self.detail}


def pointer(*path: str | int) -> str:
    """Writes a place in the body as a JSON Pointer in a URI fragment (RFC 6901, section 6)."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "#" + "".join(f"/{part}" for part in escaped)


class Problem(Exception):
    """The base of all error responses; `detail` never repeats input or secrets."""

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
        self.members: dict[str, str] = {}  # more members of the body

    @classmethod
    def example(cls) -> Self:
        """Makes one as the service raises it, for the API's description.

        Its detail is empty for a base of several problems: describe one of those instead.
        """
        return cls()


class BadRequest(Problem):
    status, slug, title = 400, "bad-request", "Bad request"


class UnknownHost(BadRequest):
    slug, title = "unknown-host", "Unknown host"
    default_detail = "This service has another host name. Use one that its operator has set."


class Unauthorized(Problem):
    """Answers 401 with the challenge that RFC 6750 requires."""

    status, slug, title = 401, "unauthorized", "Not signed in"
    default_detail = (
        "Send a valid, unexpired token as 'Authorization: Bearer …', or a valid, unexpired API key"
        " as 'X-API-Key: …'."
    )

    challenge: ClassVar[str] = "Bearer"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": self.challenge})


class Forbidden(Problem):
    """Answers 403: the caller is known, and is not allowed to do this."""

    status, slug, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    status, slug, title = 404, "not-found", "Not found"
    default_detail = "This does not exist, or it is not yours."


class RequestTimedOut(Problem):
    status, slug, title = 408, "request-timeout", "Request timeout"
    default_detail = "The rest of the request did not arrive in time. Send it without long pauses."


class Conflict(Problem):
    status, slug, title = 409, "conflict", "Conflict"


class LimitReached(Conflict):
    """Refuses a call that would exceed a limit of the project; names its use, and its setting."""

    counted: ClassVar[str]  # a plural noun
    setting: ClassVar[str]
    instead: ClassVar[str]  # the caller's own way out, as the start of a sentence

    def __init__(self, *, used: int, most: int) -> None:
        super().__init__(
            f"This project has {used} of at most {most} {self.counted}. {self.instead}, or ask the"
            f" operator of this service to raise {self.setting}."
        )

    @classmethod
    def example(cls) -> Self:
        return cls(used=1_000, most=1_000)


class TooLarge(Problem):
    status, slug, title = 413, "content-too-large", "Content too large"
    default_detail = "The body is too large. Send at most 1 MiB, or at most 16 KiB to sign in."


class UnsupportedMediaType(Problem):
    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"
    default_detail = "Send the body as JSON with 'Content-Type: application/json'."


class EncodedBody(UnsupportedMediaType):
    """Refuses a compressed body, and says what is accepted, as RFC 9110, section 12.5.3 asks."""

    default_detail = "Send the body uncompressed, without the header 'Content-Encoding'."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Accept-Encoding": "identity"})


class Invalid(Problem):
    status, slug, title = 422, "invalid", "The request is not valid"

    @classmethod
    def at(cls, path: Sequence[str | int], detail: str) -> "Invalid":
        """Makes the error of one place in the body; `detail` says how to mend it."""
        return cls(detail, errors=[FieldError("pointer", pointer(*path), detail)])


class Unavailable(Problem):
    """Answers 503: the service is at fault, and a retry may succeed."""

    status, slug, title = 503, "unavailable", "Not available right now"
    default_detail = (
        "The database is not answering. Try again. It is not known whether this request changed"
        " anything, so repeat a call with the same Idempotency-Key."
    )

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class NotStarted(Unavailable):
    default_detail = (
        "The service is still starting; /readyz gives the reason. Nothing was changed. Try again."
    )
