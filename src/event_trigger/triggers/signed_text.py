"""Parses the text that a sender signs, such as `{timestamp}.{body}`, into its parts."""

import re
from enum import StrEnum
from functools import lru_cache

LONGEST_SIGNED_TEXT = 200
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_EXAMPLE = "such as {body} or {timestamp}.{body}"


class SignedPart(StrEnum):
    """A part of a call that a signature covers."""

    BODY = "body"
    TIMESTAMP = "timestamp"
    ID = "id"
    METHOD = "method"
    URL = "url"


@lru_cache(maxsize=256)
def signed_parts(text: str) -> tuple[str | SignedPart, ...]:
    """Splits a text into literal texts and parts; raises ValueError, with words for the user.

    Each part may be there once, and the body has to be: otherwise anybody could replace it.
    """
    pieces = _PLACEHOLDER.split(text)
    literals, names = pieces[::2], pieces[1::2]
    if any("{" in one or "}" in one for one in literals) or not set(names) <= set(SignedPart):
        known = ", ".join(f"{{{one}}}" for one in SignedPart)
        raise ValueError(f"Write a text with some of {known}, {_EXAMPLE}")
    if len(set(names)) < len(names):
        raise ValueError("Write each part once")
    if SignedPart.BODY not in names:
        raise ValueError(f"Write {{body}} in it, {_EXAMPLE}: the signature has to cover the body")
    parts: list[str | SignedPart] = []
    for place, piece in enumerate(pieces):
        if place % 2:
            parts.append(SignedPart(piece))
        elif piece:
            parts.append(piece)
    return tuple(parts)
