"""Checks a URL when a destination is saved, so that its owner learns at once of a refusal."""

import asyncio
from ipaddress import ip_address

from event_trigger.destinations.address_policy import Address, AddressPolicy
from event_trigger.destinations.dns import Lookup
from event_trigger.destinations.mail_urls import recipient_of
from event_trigger.destinations.urls import Target, UrlRefused, parse_target
from event_trigger.errors import Invalid

_LOOKUP_SECONDS = 2.0
_NOT_PUBLIC = (
    "This address is not public. It can be called only if the operator allows it"
    " (EVENT_TRIGGER_WEBHOOK_ALLOW)."
)
_NOT_ENCRYPTED = (
    "Use https. Plain http is only for addresses that the operator allows"
    " (EVENT_TRIGGER_WEBHOOK_ALLOW)."
)
_NO_MAIL = (
    "No mails are sent here. The operator can set EVENT_TRIGGER_SMTP_URL and"
    " EVENT_TRIGGER_MAIL_FROM; until then, write an https URL."
)


def check_mail_url(url: str, *, sends_mail: bool) -> None:
    """Raises Invalid for an address that no mail can be sent to."""
    try:
        recipient_of(url)
    except UrlRefused as refused:
        raise Invalid.at(["url"], str(refused)) from None
    if not sends_mail:
        raise Invalid.at(["url"], _NO_MAIL)


async def check_url(url: str, policy: AddressPolicy, lookup: Lookup) -> None:
    """Raises Invalid for a URL that the sender would refuse to connect to now.

    A name without an address is accepted, since it may get one: the sender looks it up, and checks
    the address, for every connection.
    """
    try:
        target = parse_target(url)
    except UrlRefused as refused:
        raise Invalid.at(["url"], str(refused)) from None
    addresses = await _addresses_of(target, lookup)
    if not all(policy.may_call(one, is_encrypted=True) for one in addresses):
        raise Invalid.at(["url"], _NOT_PUBLIC)
    if target.is_encrypted:
        return
    if not addresses or not all(policy.may_call(one, is_encrypted=False) for one in addresses):
        raise Invalid.at(["url"], _NOT_ENCRYPTED)


async def _addresses_of(target: Target, lookup: Lookup) -> list[Address]:
    if not isinstance(target.host, str):
        return [target.host]
    name = target.host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return [ip_address("127.0.0.1")]
    try:
        async with asyncio.timeout(_LOOKUP_SECONDS):
            found = await lookup(target.host, target.port)
    except (OSError, TimeoutError, UnicodeError):
        return []
    return [ip_address(one) for one in found]
