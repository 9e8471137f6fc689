"""Writes requests: addresses, parameters and headers, and holds the settings of a client."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx

from event_trigger_client.errors import EventTriggerError
from event_trigger_client.version import __version__

Name = int | str
"""An id, which is a number, or a key, which is a text."""


@dataclass(frozen=True)
class Connection:
    """Where the service is, and as whom it is called."""

    url: str
    token: str | None = field(repr=False)
    project: str | int | None

    @classmethod
    def from_env(cls) -> "Connection":
        """Reads EVENT_TRIGGER_URL, EVENT_TRIGGER_TOKEN and EVENT_TRIGGER_PROJECT."""
        url = os.environ.get("EVENT_TRIGGER_URL")
        if not url:
            raise EventTriggerError(
                "EVENT_TRIGGER_URL is not set. Set it to the address of the service, such as"
                " http://localhost:8000."
            )
        token, project = (os.environ.get(f"EVENT_TRIGGER_{one}") for one in ("TOKEN", "PROJECT"))
        return cls(url, token or None, project or None)

    def options(self, timeout: float) -> dict[str, Any]:
        """Gives the arguments of httpx's client.

        One of a plain address trusts nobody: reading all authorities takes 30 ms.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise EventTriggerError(
                f"{self.url!r} is no address of a service. Write one such as http://localhost:8000."
            )
        headers = {"User-Agent": f"event-trigger-client/{__version__}"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.project is not None:
            headers["X-Project-ID"] = str(self.project)
        plain = {} if parts.scheme == "https" else {"verify": SSLContext(PROTOCOL_TLS_CLIENT)}
        return {"base_url": self.url, "headers": headers, "timeout": timeout, **plain}


def new_idempotency_key() -> str:
    return str(uuid4())


def headers_of(
    headers: Mapping[str, str] | None = None,
    *,
    idempotency_key: str | None = None,
    if_match: str | None = None,
) -> dict[str, str]:
    given = dict(headers or {})
    if idempotency_key is not None:
        given["Idempotency-Key"] = idempotency_key
    if if_match is not None:
        given["If-Match"] = if_match
    return given


def query_of(params: Mapping[str, Any] | None) -> httpx.QueryParams:
    """Writes parameters as the service reads them: a list is repeated, and None is left out."""
    found: list[tuple[str, str | int | float | bool | None]] = [  # as QueryParams takes it
        (name.rstrip("_"), _text(one))  # `from_`, since `from` is a word of Python
        for name, value in (params or {}).items()
        for one in (value if isinstance(value, list | tuple) else [value])
        if one is not None
    ]
    return httpx.QueryParams(found)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def path_of(collection: str, name: Name, *more: str) -> str:
    """Writes the path of one thing, `/triggers/7` or `/triggers/by-key/nightly`, or below it."""
    place = [str(name)] if isinstance(name, int) else ["by-key", quote(name, safe="")]
    return "/".join(["", collection, *place, *more])


def keyed_path(collection: str, key: str) -> str:
    """Writes the path of what has a key and no other name."""
    return f"/{collection}/{quote(key, safe='')}"
