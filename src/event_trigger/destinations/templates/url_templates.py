"""Checks templates of URLs, and what they make: a value never changes what a URL means."""

import re

from event_trigger.destinations.urls import UrlRefused, parse_target

_VALUE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_EMPTY_SEGMENT = re.compile(r"/(?=/|\Z)")


def check_url_template(url: str) -> None:
    """Raises UrlRefused for a template whose results would be no URLs, or have other origins."""
    if "{%" in url:
        raise UrlRefused("Write values as {{ … }} only: a URL has no tags.")
    parse_target(url)


def check_rendered_url(template: str, url: str) -> None:
    """Raises UrlRefused for a URL that the sender would refuse, or that lost a part of its path.

    Without a part, a request could mean something else: all items, and not one of them.
    """
    parse_target(url)
    if _count_empty_segments(url) > _count_empty_segments(_VALUE.sub("1", template)):
        raise UrlRefused("A value in the path is empty.")


def _count_empty_segments(url: str) -> int:
    path = url.partition("?")[0].partition("://")[2]
    return len(_EMPTY_SEGMENT.findall(path))
