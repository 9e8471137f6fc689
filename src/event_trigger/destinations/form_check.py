"""Checks the form of requests when it is saved, so that its owner learns at once of a refusal."""

from dataclasses import dataclass

from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.templates.checking import check_template
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.destinations.url_check import check_mail_url, check_url


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
