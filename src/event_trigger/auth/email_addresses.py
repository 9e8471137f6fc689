"""E-mail addresses as names of accounts: two that look the same are the same, or are refused."""

import re
import unicodedata

NO_ADDRESS = "(no e-mail address)"
_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_UNSEEN = re.compile(  # Unicode's Default_Ignorable_Code_Point where it is no Cf, and blank signs
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e0fff]"
)
_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC", "CHEROKEE"})


def normalise_email(address: str) -> str:
    """Gives the one spelling of an address; whether mail arrives there is not our business.

    Case, full-width letters and other compatible forms make no difference (NFKC). Raises
    ValueError, in words, for what is no address, or looks like another one.
    """
    canonical = as_account(address)
    if any(unicodedata.category(one)[0] == "C" for one in canonical) or _UNSEEN.search(canonical):
        raise ValueError(
            "an e-mail address has no control, invisible or bidirectional characters: type it"
            " instead of pasting it"
        )
    if not _ADDRESS.fullmatch(canonical):
        raise ValueError("write an e-mail address, such as ada@example.com")
    if any(len(_alphabets_of(part)) > 1 for part in re.split(r"[@.]", canonical)):
        raise ValueError("write each part of an e-mail address in one alphabet")
    return canonical


def as_account(address: str) -> str:
    """As `normalise_email`, without looking at what comes of it: for what is typed to sign in."""
    folded = unicodedata.normalize("NFKC", address.strip(" \t\r\n")).lower()
    return unicodedata.normalize("NFKC", folded)


def shown_account(address: str) -> str:
    """Gives the account for the audit log; what is no address may be a password by mistake."""
    try:
        return normalise_email(address)
    except ValueError:
        return NO_ADDRESS


def _alphabets_of(text: str) -> set[str]:
    """Those whose letters look like those of another, as far as they occur."""
    return {unicodedata.name(one, "").partition(" ")[0] for one in text} & _ALIKE
