"""Checks URLs and templates when they are saved: their owner learns at once of a refusal."""

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address

from event_trigger.destinations.address_policy import Address, AddressPolicy
from event_trigger.destinations.dns import DnsResolver, Lookup
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.mail_urls import recipient_of
from event_trigger.destinations.templates.jobs import (
    CheckJob,
    NotRendered,
    TemplateFailed,
    is_template,
)
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.destinations.urls import Target, UrlRefused, parse_target
from event_trigger.errors import Invalid, Unavailable

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


class TemplatesUnchecked(Unavailable):
    default_detail = "The templates could not be checked now. Nothing was changed. Try again."


async def check_template(
    renderer: Renderer,
    *,
    template: str | None,
    url: str,
    content_type: str,
    subject: str | None,
    owner_id: int,
    notices: bool = False,
) -> None:
    """Raises Invalid, with line and reason, for a template that fails for every event.

    With `notices`, also for one that fails for a notice. Hold no database connection while it runs.
    """
    if template is None and subject is None and not is_template(url):
        return
    outcome = await renderer.check(
        CheckJob(template, url, content_type, owner_id, subject, notices)
    )
    if isinstance(outcome, TemplateFailed):
        raise Invalid.at([outcome.part], outcome.reason)
    if isinstance(outcome, NotRendered):
        raise TemplatesUnchecked


@dataclass(frozen=True, slots=True)
class FormCheck:
    """Looks up hosts and renders samples: call it without a connection to the database."""

    policy: AddressPolicy
    resolver: DnsResolver
    renderer: Renderer
    sends_mail: bool

    async def check(
        self, form: RequestForm, *, owner_id: int, known: RequestForm | None = None
    ) -> None:
        """Raises Invalid for a form that cannot be sent.

        A URL or a template that is `known` is not checked again: older rules may have allowed it.
        """
        form.check()
        if known is None or form.url != known.url:
            if form.is_mail:
                check_mail_url(form.url, sends_mail=self.sends_mail)
            else:
                await check_url(form.url, self.policy, self.resolver.lookup)
        if form.is_rendered and form != known:
            await check_template(
                self.renderer,
                template=form.template,
                url=form.url,
                content_type=form.media_type,
                subject=form.subject,
                owner_id=owner_id,
                notices=form.has_notices,
            )
