"""Reads where a login comes from: the address, and the client's own name for itself."""

import unicodedata
from dataclasses import dataclass

LONGEST_USER_AGENT = 200  # characters
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Origin:
    """The address and the `User-Agent` of a request, as they are stored; None where unknown."""

    address: str | None = None
    user_agent: str | None = None


UNKNOWN_ORIGIN = Origin()


def clean_user_agent(value: str | None) -> str | None:
    """Cuts a `User-Agent` header, and replaces control, invisible and bidirectional characters.

    Servers decode headers as Latin-1; clients that send more than ASCII send UTF-8.
    """
    if value is None:
        return None
    text = value.encode("latin-1", "replace").decode(errors="replace").strip()
    shown = "".join(_REPLACEMENT if _is_control(one) else one for one in text[:LONGEST_USER_AGENT])
    return shown or None


def _is_control(character: str) -> bool:
    return unicodedata.category(character)[0] == "C"
