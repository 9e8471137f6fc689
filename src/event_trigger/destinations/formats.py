"""Tells the form of a destination's requests: format, method and URL, and what is rendered."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from event_trigger.destinations.templates.jobs import JSON_MEDIA_TYPE, is_template
from event_trigger.errors import Invalid
from event_trigger.models import DestinationFormat, DestinationMethod

_WITHOUT_BODY = frozenset({DestinationMethod.GET, DestinationMethod.DELETE})


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
            bool(columns.get("notices")),
        )

    @property
    def has_body(self) -> bool:
        return self.method not in _WITHOUT_BODY

    @property
    def is_rendered(self) -> bool:
        """Whether a template makes the body or the URL."""
        return self.template is not None or is_template(self.url)

    @property
    def digest(self) -> bytes:
        """A hash that tells this form from any other."""
        parts = [self.url, self.format, self.method, self.template, self.content_type]
        return hashlib.sha256(json.dumps(parts).encode()).digest()

    @property
    def media_type(self) -> str:
        """The content type of the body that the template makes."""
        return self.content_type or JSON_MEDIA_TYPE

    def check(self) -> None:
        """Raises Invalid where settings do not go together: each of them does something."""
        wants_template = self.format is DestinationFormat.TEMPLATE and self.has_body
        if wants_template and self.template is None:
            raise Invalid.at(["template"], "Write the template that makes the body.")
        for name in ("template", "content_type"):
            if getattr(self, name) is not None and not wants_template:
                raise Invalid.at([name], self._without_use())

    def _without_use(self) -> str:
        if not self.has_body:
            return f"{self.method} sends no body: leave this out, or set it to null in a PATCH."
        return (
            "This is for the format template: write that format, or leave this out, or set it to"
            " null in a PATCH."
        )
