"""Writes the request that is shown: as it would be sent, with stars for what is secret."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from event_trigger.deliveries.http.signed_message import write_signed
from event_trigger.deliveries.mail.writing import mail_of
from event_trigger.deliveries.preview.shown_events import ShownEvent
from event_trigger.deliveries.rendering import render_job
from event_trigger.destinations.form_check import TemplatesUnchecked
from event_trigger.destinations.formats import RequestForm
from event_trigger.destinations.headers import check_use
from event_trigger.destinations.mail_urls import recipient_of
from event_trigger.destinations.signing_secrets import Secrets
from event_trigger.destinations.templates.jobs import NotRendered, Rendered, TemplateFailed
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.destinations.urls import UrlRefused, parse_target
from event_trigger.errors import Invalid
from event_trigger.mail.message import header_fields
from event_trigger.mail_settings import MailSender
from event_trigger.models import DestinationMethod
from event_trigger.vault import new_secret
from event_trigger.web.mask import MASK

_SIGNATURE = "webhook-signature"
_NO_SENDER = MailSender("", "nobody@localhost")  # where no mail server is set


@dataclass(frozen=True, slots=True)
class ShownForm:
    """The form of a request; `given` names its fields that are in the body of the call."""

    form: RequestForm
    header_names: Sequence[str]
    given: Collection[str]

    def refusal(self, field: str, reason: str) -> Invalid:
        """Refuses a field at its place in the body, or at the destination that it comes from."""
        return Invalid.at([field if field in self.given else "destination"], reason)


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """A request as it would be sent; `body` is None for one without a body, `method` for a mail."""

    method: DestinationMethod | None
    url: str
    headers: dict[str, str]
    body: str | None


@dataclass(frozen=True, slots=True)
class RequestShower:
    """Shows requests; hold no database connection while it renders."""

    renderer: Renderer
    owner_id: int
    installation: str
    public_url: str | None
    mail_sender: MailSender | None

    async def show(self, shown: ShownForm, event: ShownEvent, *, at: datetime) -> ShownRequest:
        """Raises Invalid for a form that could not be saved, and for a template that fails."""
        form = shown.form
        form.check()
        check_use(shown.header_names, form)
        try:
            _check_url(form)
        except UrlRefused as refused:
            raise shown.refusal("url", str(refused)) from None
        rendered = await self._render(shown, event) if form.is_rendered else None
        if form.is_mail:
            return self._show_mail(form, event, rendered)
        message = write_signed(
            event.cloud_event(installation=self.installation, public_url=self.public_url),
            form,
            rendered,
            Secrets(new_secret(), headers=dict.fromkeys(shown.header_names, MASK)),
            message_id=f"evt_{self.installation}_{event.id}",
            at=at,
            hops=event.hops + 1,
        )
        headers = message.headers | {_SIGNATURE: MASK}
        body = message.body.decode() if form.has_body else None
        return ShownRequest(message.method, message.url, headers, body)

    def _show_mail(
        self, form: RequestForm, event: ShownEvent, rendered: Rendered | None
    ) -> ShownRequest:
        cloud_event = event.cloud_event(installation=self.installation, public_url=self.public_url)
        mail = mail_of(cloud_event, form, rendered, id_=f"evt_{self.installation}_{event.id}")
        headers = header_fields(mail, self.mail_sender or _NO_SENDER)
        return ShownRequest(None, form.url, headers, mail.text)

    async def _render(self, shown: ShownForm, event: ShownEvent) -> Rendered:
        job = render_job(shown.form, event.variables(), event.payload, owner_id=self.owner_id)
        outcome = await self.renderer.try_out(job)
        if isinstance(outcome, NotRendered):
            raise TemplatesUnchecked
        if isinstance(outcome, TemplateFailed):
            raise shown.refusal(outcome.part, outcome.reason)
        return outcome


def _check_url(form: RequestForm) -> None:
    """Raises UrlRefused."""
    if form.is_mail:
        recipient_of(form.url)
    else:
        parse_target(form.url)
