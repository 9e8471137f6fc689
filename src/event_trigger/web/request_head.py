"""Reads the head of a request: its client's address, its id, single headers, and its base URL."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

from fastapi import Request
from starlette.types import Scope

from event_trigger.errors import FieldError, Invalid
from event_trigger.web.dependencies import app_state

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_LONGEST: Final = 64  # characters; no address is longer


def client_address(scope: Mapping[str, Any]) -> str | None:
    """Returns the address of an ASGI request's client; the one that a proxy names, if trusted.

    uvicorn believes proxies in FORWARDED_ALLOW_IPS, whatever they write: what is no address is
    "unknown", so that limits by address count it as one. An address of IPv4 is written as one, and
    the zone of an address, which may be any text, is left out.
    """
    client = scope.get("client")
    return _normalised(client[0].partition("%")[0][:_LONGEST]) if client else None


@lru_cache(maxsize=4096)  # a caller calls again, and each call asks twice
def _normalised(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return "unknown"
    return str(getattr(address, "ipv4_mapped", None) or address)


def refuse_repeated(request: Request, name: str) -> None:
    """Raises Invalid if a request has this header more than once."""
    if len(request.headers.getlist(name)) > 1:
        raise RepeatedHeader(name)


class RepeatedHeader(Invalid):
    def __init__(self, name: str) -> None:
        detail = "This header takes one value. Send it once."
        super().__init__(detail, errors=[FieldError("parameter", name, detail)])


def only_header(scope: Scope, name: str) -> str | None:
    """Returns a header of an ASGI request by its name; raises RepeatedHeader."""
    lowered = name.lower().encode()
    values = [value for header, value in scope["headers"] if header == lowered]
    if len(values) > 1:
        raise RepeatedHeader(name)
    text: str | None = values[0].decode("latin-1") if values else None
    return text


def first_header(scope: Scope, name: bytes) -> str | None:
    """Returns a header of an ASGI request by its lower-case name; the first, if it is repeated.

    Starlette's `Headers` take several times as long to say that one is not there.
    """
    for header, value in scope["headers"]:
        if header == name:
            text: str = value.decode("latin-1")
            return text
    return None


def request_id_of(scope: Scope) -> str:
    """Returns the request's id: the one it was given, that it came with, or a new one."""
    state: dict[str, str] = scope.setdefault("state", {})
    known = state.get("request_id")
    if known is None:
        offered = first_header(scope, b"x-request-id")
        is_kept = offered is not None and _ACCEPTABLE_ID.fullmatch(offered) is not None
        known = state["request_id"] = offered if offered and is_kept else os.urandom(16).hex()
    return known


def base_url(request: Request) -> str:
    """Returns the URL that callers reach the service at, without a slash at its end.

    It is `EVENT_TRIGGER_PUBLIC_URL`, or else made of the request's `Host` and the prefix.
    """
    settings = app_state(request).settings
    if settings.public_url is not None:
        return settings.public_url
    scope = request.scope
    parts = scope.get("scheme", "http"), scope.get("server"), first_header(scope, b"host")
    root_path = scope.get("app_root_path", scope.get("root_path", ""))
    return _base_url(*parts, root_path).rstrip("/") + settings.prefix


@lru_cache(maxsize=64)  # few names lead here, and calls are many; a stranger's may be long
def _base_url(
    scheme: str, server: tuple[str, int | None] | None, host: str | None, root_path: str
) -> str:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    scope = {"type": "http", "scheme": scheme, "server": server, "headers": headers}
    return str(Request({**scope, "path": "/", "root_path": root_path}).base_url)
