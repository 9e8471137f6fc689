"""Reads and writes the cookie of a browser's session, which counts on same-origin requests only.

A script of the page cannot read it (HttpOnly), and no other site can make a browser use it: it is
never sent to one (SameSite=Strict), and without the browser's word that a request comes from our
own pages it does not count. That word is `Sec-Fetch-Site`, or `Origin` from older browsers.
"""

from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import Scope

from event_trigger.web.request_head import first_header

COOKIE_PREFIX = "ets_"
_NAME, _PLAIN_NAME = "__Host-et_session", "et_session"
_NEVER_ON = ("/hooks/", "/metrics")


def set_cookie(response: Response, value: str, *, is_plain: bool) -> None:
    """Gives a browser its session; `is_plain` lets the cookie travel without TLS.

    Without an expiry of its own it ends with the browser; the database knows when it ends at last.
    """
    response.set_cookie(
        _PLAIN_NAME if is_plain else _NAME,
        value,
        path="/",
        secure=not is_plain,
        httponly=True,
        samesite="strict",
    )


def delete_cookie(response: Response, *, is_plain: bool) -> None:
    response.delete_cookie(
        _PLAIN_NAME if is_plain else _NAME,
        path="/",
        secure=not is_plain,
        httponly=True,
        samesite="strict",
    )


def read_cookie(scope: Scope) -> str | None:
    """Returns the session that a request of our own pages carries, or None."""
    sent = first_header(scope, b"cookie")
    if sent is None or scope["path"].startswith(_NEVER_ON) or not is_same_origin(scope):
        return None
    try:
        cookies = SimpleCookie(sent)
    except CookieError:
        return None
    found = cookies.get(_NAME) or cookies.get(_PLAIN_NAME)
    return found.value if found is not None and found.value.startswith(COOKIE_PREFIX) else None


def is_same_origin(scope: Scope) -> bool:
    """Tells whether a browser says that its request comes from a page of this service."""
    if (site := first_header(scope, b"sec-fetch-site")) is not None:
        return site == "same-origin"
    origin, host = first_header(scope, b"origin"), first_header(scope, b"host")
    return origin is not None and host is not None and urlsplit(origin).netloc == host


def is_insecure(origin: str | None) -> bool:
    """Tells whether browsers refuse a `Secure` cookie from a page of this origin.

    They take one over TLS, and from this machine itself.
    """
    if origin is None:
        return False
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme != "http" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True
