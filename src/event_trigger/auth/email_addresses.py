"""Normalises e-mail addresses, which name accounts, so that no two accounts look the same."""

import re
import unicodedata

NO_ADDRESS = "(no e-mail address)"
_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_INVISIBLE = re.compile(  # Unicode's Default_Ignorable_Code_Point unless Cf, and blanks
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e0fff]"
)
_LOOKALIKE_ALPHABETS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC", "CHEROKEE"})


def normalise_email(address: str) -> str:
    """Returns the canonical spelling of an address (NFKC, lower case).

    Raises ValueError, with a message for the user, if it is not an address or could be mistaken
    for another one. Whether mail arrives there is not checked.
    """
    canonical = fold_address(address)
    if any(unicodedata.category(one)[0] == "C" for one in canonical) or _INVISIBLE.search(
        canonical
    ):
        raise ValueError(
            "An e-mail address has no control, invisible or bidirectional characters: type it"
            " instead of pasting it"
        )
    if not _ADDRESS.fullmatch(canonical):
        raise ValueError("Write an e-mail address, such as ada@example.com")
    if any(len(_alphabets_of(part)) > 1 for part in re.split(r"[@.]", canonical)):
        raise ValueError("Write each part of an e-mail address in one alphabet")
    return canonical


def fold_address(address: str) -> str:
    """Returns the canonical spelling without validation, for sign-in."""
    folded = unicodedata.normalize("NFKC", address.strip(" \t\r\n")).lower()
    return unicodedata.normalize("NFKC", folded)


def account_for_log(address: str) -> str:
    """Returns the address for the audit log, or NO_ADDRESS if it is not one.

    A user may have typed a password into the wrong field.
    """
    try:
        return normalise_email(address)
    except ValueError:
        return NO_ADDRESS


def _alphabets_of(text: str) -> set[str]:
    """Returns the alphabets in the text whose letters look like those of another alphabet."""
    return {unicodedata.name(one, "").partition(" ")[0] for one in text} & _LOOKALIKE_ALPHABETS
