"""Tells the form of a destination's requests: format, method and URL, and what is rendered."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from event_trigger.destinations.mail_urls import is_mail
from event_trigger.destinations.templates.jobs import JSON_MEDIA_TYPE, is_template
from event_trigger.errors import Invalid
from event_trigger.models import DestinationFormat, DestinationMethod

_WITHOUT_BODY = frozenset({DestinationMethod.GET, DestinationMethod.DELETE})
_MAIL_MEDIA_TYPE = "text/plain"
_OR_NULL = ", or set it to null in a PATCH."
_ONLY_MAIL = (
    "Only mails have a subject: leave this out, or set it to null in a PATCH, or write a URL such"
    " as mailto:ops@example.com."
)


@dataclass(frozen=True, slots=True)
class RequestForm:
    """The settings of a destination that its requests follow, apart from headers and secrets.

    With `has_notices`, its templates write notices too. That changes no request, and is checked.
    """

    url: str
    format: DestinationFormat
    method: DestinationMethod
    template: str | None
    content_type: str | None
    subject: str | None = None
    has_notices: bool = False

    @classmethod
    def of(cls, source: Any) -> Self:
        """Reads the form of a row, or of a body."""
        return cls(
            source.url,
            DestinationFormat(source.format),
            DestinationMethod(source.method),
            source.template,
            source.content_type,
            source.subject,
            bool(source.notices),
        )

    @classmethod
    def within(cls, columns: Mapping[str, Any]) -> Self:
        """Reads the form among columns by name."""
        return cls(
            columns["url"],
            DestinationFormat(columns["format"]),
            DestinationMethod(columns["method"]),
            columns["template"],
            columns["content_type"],
            columns["subject"],
            bool(columns.get("notices")),
        )

    @property
    def is_mail(self) -> bool:
        return is_mail(self.url)

    @property
    def has_body(self) -> bool:
        return self.method not in _WITHOUT_BODY

    @property
    def is_rendered(self) -> bool:
        """Whether a template makes the body, the URL or the subject."""
        has_template = self.template is not None or self.subject is not None
        return has_template or is_template(self.url)

    @property
    def digest(self) -> bytes:
        """A hash that tells this form from any other."""
        parts = [self.url, self.format, self.method, self.template, self.content_type]
        if self.subject is not None:
            parts.append(self.subject)
        return hashlib.sha256(json.dumps(parts).encode()).digest()

    @property
    def media_type(self) -> str:
        """The content type of the body that the template makes."""
        return _MAIL_MEDIA_TYPE if self.is_mail else self.content_type or JSON_MEDIA_TYPE

    def check(self) -> None:
        """Raises Invalid where settings do not go together: each of them does something."""
        if self.is_mail:
            self._check_mail()
        elif self.subject is not None:
            raise Invalid.at(["subject"], _ONLY_MAIL)
        wants_template = self.format is DestinationFormat.TEMPLATE and self.has_body
        if wants_template and self.template is None:
            raise Invalid.at(["template"], "Write the template that makes the body.")
        for name in ("template", "content_type"):
            if getattr(self, name) is not None and not wants_template:
                raise Invalid.at([name], self._without_use())

    def _check_mail(self) -> None:
        if self.method is not DestinationMethod.POST:
            raise Invalid.at(["method"], f"A mail has no method: leave this out{_OR_NULL}")
        if self.content_type is not None:
            raise Invalid.at(["content_type"], f"A mail is plain text: leave this out{_OR_NULL}")
        if self.format is DestinationFormat.CLOUDEVENTS_BINARY:
            raise Invalid.at(
                ["format"],
                "A mail has no such headers: write cloudevents, which is for readers here, payload"
                " or template.",
            )

    def _without_use(self) -> str:
        if not self.has_body:
            return f"{self.method} sends no body: leave this out{_OR_NULL}"
        return (
            "This is for the format template: write that format, or leave this out, or set it to"
            " null in a PATCH."
        )


@lru_cache(maxsize=256)  # each delivery asks for it
def stored_form(
    url: str,
    format_: str,
    method: str,
    template: str | None,
    content_type: str | None,
    subject: str | None,
) -> RequestForm:
    """Makes the form of columns as they are stored."""
    return RequestForm(
        url, DestinationFormat(format_), DestinationMethod(method), template, content_type, subject
    )
