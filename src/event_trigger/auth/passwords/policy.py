"""Accepts new passwords of any script that are long enough and not among the most common."""

import gzip
import unicodedata
from functools import lru_cache
from pathlib import Path

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 128  # characters
_COMMON_PASSWORDS = Path(__file__).parent / "vendored" / "common-passwords.txt.gz"
_KEY_ROWS = ("0123456789" * 13, "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")
_SHORTEST_UNIT = 6  # repeating fewer characters does not make a password harder to guess
_SHORTEST_WORD = 4  # the list has single letters, too


def check_new_password(password: str) -> str:
    """Returns the password; raises ValueError, with advice for the user, if it is too weak.

    Existing passwords are not checked.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD or "\0" in password:
        raise ValueError(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if _is_common(unicodedata.normalize("NFKC", password).casefold().strip()):
        raise ValueError(
            "This is one of the commonest passwords, or little more: choose several words, or let"
            " a password manager choose"
        )
    return password


def _is_common(folded: str) -> bool:
    """Finds listed passwords, also repeated or between digits and signs, and rows of keys."""
    words = {folded, folded[: _unit_of(folded)]}
    words |= {core for word in words if len(core := _core_of(word)) >= _SHORTEST_WORD}
    if _unit_of(folded) <= _SHORTEST_UNIT or any(
        f"\n{word}\n" in _common_passwords() for word in words
    ):
        return True
    return any(folded in row or folded[::-1] in row for row in _KEY_ROWS)


def _unit_of(text: str) -> int:
    """Returns the length of the shortest beginning that the text repeats; the end may be cut."""
    return next((n for n in range(1, len(text) + 1) if text[n:] == text[: len(text) - n]), 0)


def _core_of(text: str) -> str:
    """Strips digits and signs from both ends."""
    letters = [index for index, character in enumerate(text) if character.isalpha()]
    return text[letters[0] : letters[-1] + 1] if letters else ""


@lru_cache(1)
def _common_passwords() -> str:
    """Loads the list as one text, which is faster to read and smaller than a set of its lines."""
    return f"\n{gzip.decompress(_COMMON_PASSWORDS.read_bytes()).decode()}\n"
