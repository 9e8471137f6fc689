"""Tells the ids in paths from the words that stand in their place, as in `/triggers/actions`."""

from starlette.convertors import StringConvertor

_WORDS = ("actions", "by-key", "trigger-batch")


class IdConvertor(StringConvertor):
    """Takes anything but those words, so that what is no id either is a 422 which says so.

    The words' own paths say which methods they allow.
    """

    regex = f"(?!(?:{'|'.join(_WORDS)})(?:/|$))[^/]+"
