"""Parses destinations' URLs, and accepts only those that every parser reads in the same way.

The path and the query of a URL may be a template, whose values are not known here.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

from event_trigger.destinations.address_policy import Address

LONGEST_URL = 2048  # characters
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<authority>(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?)"
    r"(?P<target>([/?][!$%&'()*+,\-./0-9:;=?@a-z_~\[\]]*)?)",
    re.ASCII | re.IGNORECASE,
)
_VALUE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_ANY_TEXT = "1"  # stands for a value where the rest of a URL is checked
_PERCENT_BEFORE_VALUE = re.compile(r"%[0-9a-f]?\{\{", re.IGNORECASE)
_LOOSE_PARTS = re.compile(
    r"https?://(?P<authority>[^/?#\\]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
_BAD_PERCENT = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE)
_SEPARATOR = re.compile(r"/|%2f|%5c", re.IGNORECASE)  # some servers decode before they split
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII | re.IGNORECASE)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII | re.IGNORECASE)
_LONGEST_HOST_NAME = 253  # characters
_GENERAL = (
    "Write a URL such as https://example.com/hook: http or https, an ASCII host name or an address,"
    " no user, no fragment, at most 2,048 characters."
)


class UrlRefused(ValueError):
    """A URL that cannot be a destination; the message tells the user how to change it."""


class DotSegment(UrlRefused):
    """A path with a segment that software on the way might leave out."""


@dataclass(frozen=True, slots=True)
class Target:
    """The receiver that a URL names; `host` is a name or an address."""

    host: str | Address
    port: int
    is_encrypted: bool


def parse_target(url: str) -> Target:
    """Parses a URL, or a template of one; raises UrlRefused if parsers could disagree about it."""
    if len(url) > LONGEST_URL:
        raise UrlRefused(_GENERAL)
    url = _without_values(url)
    _check_parts(url)
    found = _match(url)
    _check_request_target(found["target"])
    is_encrypted = found["scheme"].lower() == "https"
    port = int(found["port"] or (443 if is_encrypted else 80))
    if not 0 < port < 2**16:
        raise UrlRefused("The port must be between 1 and 65535.")
    return Target(_parse_host(found["host"]), port, is_encrypted)


def _without_values(url: str) -> str:
    """Puts text for the values of a template; raises UrlRefused where they cannot stand."""
    parts = _LOOSE_PARTS.fullmatch(url)
    if parts is None:
        return url
    if "{" in parts["authority"]:
        raise UrlRefused(
            "Write the host itself, and a slash after it: only the path and the query can have"
            " values, as in https://example.com/{{ data.id }}."
        )
    if _PERCENT_BEFORE_VALUE.search(parts["rest"]):
        raise UrlRefused(
            "Write the two hexadecimal digits of a % before a value, and % itself as %25: a value"
            " would change which character is meant."
        )
    start = parts.start("rest")
    return url[:start] + _VALUE.sub(_ANY_TEXT, url[start:])


def is_same_origin(url: str, other: str) -> bool:
    """Whether scheme, host and port are the same; a URL that cannot be parsed has no origin."""
    try:
        ours, theirs = parse_target(url), parse_target(other)
    except UrlRefused:
        return False
    return _origin_of(ours) == _origin_of(theirs)


def _origin_of(target: Target) -> tuple[bool, str, int]:
    return target.is_encrypted, str(target.host).lower(), target.port


def split_url(url: str) -> tuple[str, str, str]:
    """Returns scheme, authority and, byte for byte, the request target (RFC 9112, section 3.2).

    Raises UrlRefused, but for no URL that any version of the service has accepted.
    """
    found = _match(url)
    target = found["target"]
    return (
        found["scheme"].lower(),
        found["authority"],
        target if target.startswith("/") else f"/{target}",
    )


def _match(url: str) -> re.Match[str]:
    found = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if found is None:
        raise UrlRefused(_GENERAL)
    return found


def _check_parts(url: str) -> None:
    """Refuses common mistakes with a hint; `_match` refuses all others with a general text."""
    if (parts := _LOOSE_PARTS.fullmatch(url)) is None:
        return
    authority, rest = parts["authority"], parts["rest"]
    if "@" in authority:
        raise UrlRefused("Leave out the user and the password; send them in a header instead.")
    if not authority.isascii():
        raise UrlRefused(
            "Write a host name that has other letters than ASCII's in its encoded form (IDNA),"
            " which begins with xn--."
        )
    if "#" in rest:
        raise UrlRefused("Leave out the fragment, which begins with #, or write # itself as %23.")
    if not rest.isascii() or re.search(r"[\x00-\x20\x7f\"<>\\^`{|}]", rest):
        raise UrlRefused(
            "Percent-encode spaces, control characters, quotes, < > \\ ^ ` { | } and letters other"
            " than ASCII's in the path and the query: %20 for a space, %5C for a backslash, %C3%A9"
            " for an e with an acute accent. A value of a template is written {{ data.id }}."
        )


def _check_request_target(target: str) -> None:
    """Refuses paths that software on the way might rewrite: they are sent byte for byte."""
    if _BAD_PERCENT.search(target):
        raise UrlRefused(
            "A % must be followed by two hexadecimal digits, such as %20; write % itself as %25."
        )
    path = target.partition("?")[0]
    segments = (one.lower().replace("%2e", ".") for one in _SEPARATOR.split(path))
    if any(one in (".", "..") for one in segments):
        raise DotSegment(
            "Leave out the segments . and .. (also %2E and %2E%2E): write the path that is meant,"
            " /b instead of /a/../b."
        )


def _parse_host(host: str) -> str | Address:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        labels = host.removesuffix(".").split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):  # some parsers would read an address, others a name
        raise UrlRefused("Write an address as four decimal numbers, such as 192.0.2.1.")
    if len(host) > _LONGEST_HOST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise UrlRefused("This is not a valid host name.")
    return host
