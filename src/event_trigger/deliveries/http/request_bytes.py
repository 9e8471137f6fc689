"""Writes the exact bytes of an HTTP/1.1 request (RFC 9112)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from event_trigger.destinations.urls import split_url

_AUTHORITY = re.compile(r"(?P<host>.*?)(?::(?P<port>[0-9]+))?", re.DOTALL)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ENDS_LINE = re.compile(r"[\r\n\0]")
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # where no body means no length


class Origin(NamedTuple):
    """The receiver that connections are made to; `host` is a name or an address."""

    host: str
    port: int
    is_encrypted: bool


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """The parts of a URL that a request names: `path` is sent byte for byte, with the query."""

    origin: Origin
    authority: str
    path: str


@lru_cache(maxsize=1024)
def read_target(url: str) -> RequestTarget:
    """Reads a URL; raises UrlRefused."""
    scheme, authority, path = split_url(url)
    parts = _AUTHORITY.fullmatch(authority)
    assert parts is not None
    host, default_port = parts["host"], _DEFAULT_PORTS[scheme]
    port = int(parts["port"] or default_port)
    return RequestTarget(
        Origin(host.strip("[]"), port, is_encrypted=scheme == "https"),
        host if port == default_port else f"{host}:{port}",  # as curl writes it
        path,
    )


def write_request(
    method: str, target: RequestTarget, headers: Mapping[str, str], body: bytes
) -> bytes:
    """Writes a request on a connection that may be kept; raises ValueError for bad headers."""
    if _ENDS_LINE.search("".join(headers.values())):
        raise ValueError("a header has a line break or a NUL")
    lines = [f"{method} {target.path} HTTP/1.1", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "\r\n")).encode() + body
