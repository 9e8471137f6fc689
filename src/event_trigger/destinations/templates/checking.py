"""Checks templates when they are saved, so that their owner learns at once of a mistake."""

from event_trigger.destinations.templates.jobs import (
    CheckJob,
    NotRendered,
    TemplateFailed,
    is_template,
)
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.errors import Invalid, Unavailable


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
