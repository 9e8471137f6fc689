"""Reads the address of a request's client."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

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
