"""Checks the form of addresses that mails are sent from and to (RFC 5321), before any is sent."""

import re

import idna

LONGEST_ADDRESS = 254  # characters: a path of 256 octets with its brackets
_LOCAL_PART = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.IGNORECASE
)
_LONGEST_LOCAL_PART = 64  # characters
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.IGNORECASE)
_ENCODED = "xn--"


class AddressRefused(ValueError):
    """An address that no mail can be sent to; the message tells the user how to change it."""


def check_address(address: str) -> str:
    """Returns an address in ASCII; raises AddressRefused for any other.

    Quoted local parts and addresses in brackets are refused: hardly a mailbox has them, and
    programs on the way read them in different ways.
    """
    local_part, at, domain = address.rpartition("@")
    if not at or len(address) > LONGEST_ADDRESS:
        raise AddressRefused("Write an address of at most 254 characters, such as ops@example.com.")
    if not domain.isascii():
        raise AddressRefused(
            "Write a domain that has other letters than ASCII's in its encoded form (IDNA), which"
            " begins with xn--."
        )
    is_short = len(local_part) <= _LONGEST_LOCAL_PART
    if not (is_short and local_part.isascii() and _LOCAL_PART.fullmatch(local_part)):
        raise AddressRefused(
            "Write up to 64 letters and digits of ASCII before the @, with any of"
            " . _ + - and the like between them, and without quotes."
        )
    if not _is_domain(domain):
        raise AddressRefused("Write a domain after the @, such as example.com: a name, no address.")
    return address


def ascii_address(address: str) -> str | None:
    """Encodes an account's domain (IDNA, UTS 46); None where no mail can be sent to the address."""
    local_part, _, domain = address.rpartition("@")
    try:
        encoded = idna.encode(domain, uts46=True).decode()
        return check_address(f"{local_part}@{encoded}")
    except (idna.IDNAError, AddressRefused):
        return None


def domain_of(address: str) -> str:
    return address.rpartition("@")[2]


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    return not labels[-1].isdigit() and all(map(_is_label, labels))


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    if not label.lower().startswith(_ENCODED):
        return True
    try:
        idna.ulabel(label)
    except idna.IDNAError:
        return False
    return True
