"""Says which passwords may be chosen: long ones of any script that are not among the commonest."""

import gzip
import unicodedata
from functools import lru_cache
from pathlib import Path

SHORTEST, LONGEST = 12, 128  # characters
_LIST = Path(__file__).parent / "vendored" / "common-passwords.txt.gz"
_ROWS = ("0123456789" * 13, "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")
_SHORT_UNIT = 6  # what repeats so few characters is guessed as quickly as they are
_SHORT_WORD = 4  # single letters are on the list, too


def check_new_password(password: str) -> str:
    """Gives the password back; raises ValueError, in words that say what to choose instead.

    Passwords that exist already are not asked about: their owners go on signing in.
    """
    if not SHORTEST <= len(password) <= LONGEST or "\0" in password:
        raise ValueError(f"a password has {SHORTEST} to {LONGEST} characters")
    if _is_common(unicodedata.normalize("NFKC", password).casefold().strip()):
        raise ValueError(
            "this is one of the commonest passwords, or little more: choose several words, or let"
            " a password manager choose"
        )
    return password


def _is_common(folded: str) -> bool:
    """A listed password, also with digits and signs around it, repeated, or a row of keys."""
    words = {folded, folded[: _unit_of(folded)]}
    words |= {core for word in words if len(core := _core_of(word)) >= _SHORT_WORD}
    if _unit_of(folded) <= _SHORT_UNIT or any(f"\n{word}\n" in _listed() for word in words):
        return True
    return any(folded in row or folded[::-1] in row for row in _ROWS)


def _unit_of(text: str) -> int:
    """How many characters it takes to repeat the text from, the last time perhaps not whole."""
    return next((n for n in range(1, len(text) + 1) if text[n:] == text[: len(text) - n]), 0)


def _core_of(text: str) -> str:
    """The text without what is no letter at its ends."""
    places = [place for place, character in enumerate(text) if character.isalpha()]
    return text[places[0] : places[-1] + 1] if places else ""


@lru_cache(1)
def _listed() -> str:
    """The list as one text, which is read sooner and takes less memory than a set of its lines."""
    return f"\n{gzip.decompress(_LIST.read_bytes()).decode()}\n"
