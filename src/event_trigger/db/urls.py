"""Reads database URLs as providers write them, and turns them into URLs for asyncpg."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from event_trigger.db import tls

DEFAULT_PORT = 5432
# several hosts, after the password, which may hold any character but these three
_HOSTS = re.compile(
    r"(?P<before>[^/?#]*://(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<after>([/?#].*)?)"
)
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_SERVERS = frozenset({"any", "primary", "standby", "prefer-standby", "read-write", "read-only"})
# URL parameters of libpq that asyncpg does not know and that make no difference here
_IGNORED_PARAMETERS = frozenset(
    {"application_name", "channel_binding", "connect_timeout", "gssencmode"}
)
_KNOWN_PARAMETERS = frozenset(
    {"host", "port", "target_session_attrs", "prepared_statement_cache_size", tls.MODE, *tls.FILES}
)


def asyncpg_url(url: str | URL, *, setting: str = "DATABASE_URL") -> URL:
    """Turns any PostgreSQL URL (`postgres://`, `?sslmode=`) into one for SQLAlchemy and asyncpg.

    Of several hosts (`h1:5432,h2:5432`) the first that answers is taken, and suits
    `target_session_attrs` if that is given. Raises ValueError that names the setting, but not the
    URL: it may hold a password.
    """
    text, hosts = _split(url)
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"{setting} must be like postgresql://user:password@host/name") from None
    if parsed.get_backend_name() not in {"postgres", "postgresql"}:
        raise ValueError(f"{setting} must start with postgresql:// or postgres://")
    query: dict[str, Any] = {
        key: value for key, value in parsed.query.items() if key not in _IGNORED_PARAMETERS
    }
    if "sslmode" in query:
        query[tls.MODE] = query.pop("sslmode")
    if unknown := query.keys() - _KNOWN_PARAMETERS:
        names = ", ".join(sorted(unknown))
        raise ValueError(f"{setting} has parameters that are not understood: {names}")
    try:
        _check(query)
        if hosts:
            query["host"] = _with_ports(hosts)
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None
    return parsed.set(drivername="postgresql+asyncpg", query=query)


def place_of(url: str) -> str:
    """Returns hosts, ports and the name of a database, without user and password."""
    parsed = asyncpg_url(url)
    host = parsed.host or parsed.query.get("host") or "localhost"
    hosts = host if isinstance(host, str) else ",".join(host)
    port = "" if parsed.port is None else f":{parsed.port}"
    return f"{hosts}{port}/{parsed.database or ''}"


def _split(url: str | URL) -> tuple[str | URL, Sequence[str]]:
    """Takes several hosts out of a URL, which SQLAlchemy reads only as parameters."""
    if isinstance(url, URL) or (found := _HOSTS.fullmatch(url)) is None:
        return url, ()
    return found["before"] + found["after"], found["hosts"].split(",")


def _with_ports(hosts: Sequence[str]) -> tuple[str, ...]:
    found = [_HOST.fullmatch(one) for one in hosts]
    if not all(found):
        raise ValueError("write several hosts as host1:5432,host2:5432")
    return tuple(f"{one['name']}:{one['port'] or DEFAULT_PORT}" for one in found if one)


def _check(query: Mapping[str, Any]) -> None:
    repeated = [key for key, one in query.items() if key != "host" and not isinstance(one, str)]
    if repeated:
        raise ValueError(f"{', '.join(sorted(repeated))} may be given once")
    if query.get("target_session_attrs", "any") not in _SERVERS:
        raise ValueError(f"target_session_attrs must be one of {', '.join(sorted(_SERVERS))}")
    tls.check(query)
