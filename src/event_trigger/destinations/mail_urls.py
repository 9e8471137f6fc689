"""Reads destinations' URLs of mails (RFC 6068): one address, and nothing else."""

from urllib.parse import unquote

from event_trigger.destinations.urls import UrlRefused
from event_trigger.mail_addresses import AddressRefused, check_address

_SCHEME = "mailto:"


def is_mail(url: str) -> bool:
    return url[: len(_SCHEME)].lower() == _SCHEME


def recipient_of(url: str) -> str:
    """Returns the address of a `mailto:` URL; raises UrlRefused if it has anything besides.

    One delivery has one recipient: of two, one could be refused and the other not.
    """
    address = url[len(_SCHEME) :]
    if "{" in address:
        raise UrlRefused("Write the address itself: an address has no values of the event.")
    if "?" in address or "#" in address:
        raise UrlRefused(
            "Leave out the question mark and all after it. The fields subject and template say what"
            " the mail has."
        )
    if "," in address or address.count("@") > 1:
        raise UrlRefused(
            "Write one address. Make a destination for each of several, so that each has its own"
            " record and retries, or write the address of a mailing list."
        )
    try:
        return check_address(unquote(address, errors="strict"))
    except AddressRefused as refused:
        raise UrlRefused(str(refused)) from None
    except UnicodeDecodeError:
        raise UrlRefused("Write the address in ASCII, without bytes that are no text.") from None
