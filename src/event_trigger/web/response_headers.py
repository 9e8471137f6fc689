"""Declares the headers of responses for OpenAPI, each in one place."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

HEADERS: Final[Mapping[str, dict[str, Any]]] = {
    "Accept-Encoding": {
        "description": "The encodings of a body that are accepted (RFC 9110).",
        "schema": {"type": "string"},
        "example": "identity",
    },
    "Content-Disposition": {
        "description": "The name under which a browser saves the answer.",
        "schema": {"type": "string"},
        "example": 'attachment; filename="events.csv"',
    },
    "ETag": {
        "description": "Names this state of the resource, for `If-Match` and `If-None-Match`.",
        "schema": {"type": "string"},
        "example": '"5f2b8c1d"',
    },
    "Event-Id": {
        "description": "The id of the event that was made.",
        "schema": {"type": "integer", "format": "int64"},
        "example": 1,
    },
    "Idempotent-Replayed": {
        "description": "`true` if this repeats the answer to an earlier call; else absent.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Link": {
        "description": 'The next page, with `rel="next"` (RFC 8288); absent on the last one.',
        "schema": {"type": "string"},
        "example": '<https://example.com/events?cursor=WzFd>; rel="next"',
    },
    "Location": {
        "description": "The address of the created resource.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/events/1",
    },
    "Retry-After": {
        "description": "Seconds to wait before trying again.",
        "schema": {"type": "integer", "format": "int32", "minimum": 0},
        "example": 1,
    },
    "Set-Cookie": {
        "description": "The session of a browser, out of reach of scripts (RFC 6265).",
        "schema": {"type": "string"},
        "example": "__Host-et_session=ets_…; HttpOnly; Path=/; SameSite=strict; Secure",
    },
    "WWW-Authenticate": {
        "description": "The challenge: how to authenticate (RFC 9110, RFC 6750).",
        "schema": {"type": "string"},
        "example": "Bearer",
    },
}


def with_headers(status: int, *names: str) -> dict[int | str, dict[str, Any]]:
    """Declares headers of a response, beside `problems(…)` in an operation's `responses`."""
    return {status: {"headers": referred(names)}}


def referred(names: Iterable[str]) -> dict[str, Any]:
    """Refers to headers of HEADERS by their names; raises KeyError for any other."""
    return {name: {"$ref": f"#/components/headers/{_known(name)}"} for name in names}


def _known(name: str) -> str:
    if name not in HEADERS:
        raise KeyError(f"describe the header {name} in web/response_headers.py")
    return name
