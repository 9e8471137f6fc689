"""Decodes text of any charset, and replaces characters that PostgreSQL cannot store by U+FFFD."""

import re

from event_trigger.hooks.bodies.charsets import codec_of

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Escapes of halves of surrogate pairs, and of NUL, whose backslash is none that is escaped itself:
# an even number stands before it. Whole pairs are found too, so that no half of them is.
_ESCAPES = re.compile(
    r"(?<!\\)(?P<before>(?:\\\\)*+)\\u"
    r"(?:(?P<pair>[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|[dD][89a-fA-F][0-9a-fA-F]{2}|0000)"
)


def decode(body: bytes, charset: str) -> str:
    """Decodes text of the named charset, or of UTF-8 if there is no such; never fails.

    Leaves a byte order mark out.
    """
    text = body.decode(codec_of(charset), errors="replace")
    return storable(text.removeprefix("\ufeff"))


def storable(text: str) -> str:
    """Replaces NUL, which PostgreSQL cannot store. Decoded text has no half of a surrogate pair."""
    return text.replace("\0", REPLACEMENT)


def mend_escapes(text: str) -> str:
    r"""Replaces escapes of NUL, and of halves of surrogate pairs, in a JSON text by \ufffd."""
    return _ESCAPES.sub(_mended, text)


def _mended(found: re.Match[str]) -> str:
    return found[0] if found["pair"] else f"{found['before']}\\ufffd"
