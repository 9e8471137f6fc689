"""Declares the problem of a body that cannot be read."""

from event_trigger.errors import Invalid


class UnreadableBody(Invalid):
    slug, title = "unreadable-body", "The body cannot be read"
