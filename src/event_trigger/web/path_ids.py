"""Tells the ids in paths from the words that stand in their place, as in `/triggers/actions`."""

from starlette.convertors import StringConvertor

HOLIDAYS = "holidays"
_WORDS = ("actions", "by-key", "recent", "render", "trigger-batch")


class IdConvertor(StringConvertor):
    """Matches anything but those words: a value that is no id gets a 422 which says so.

    The words have paths of their own, which say which methods they allow.
    """

    regex = f"(?!(?:{'|'.join(_WORDS)})(?:/|$))[^/]+"


class CalendarKeyConvertor(StringConvertor):
    """Matches anything but the one word that no calendar can have as its key."""

    regex = f"(?!{HOLIDAYS}(?:/|$))[^/]+"
