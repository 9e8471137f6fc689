"""Says what a mail server's reply means for the mail and for the server (RFC 5321, section 4.2)."""

from enum import StrEnum
from typing import NamedTuple

CLOSING = 421  # the server shuts down, or has too many connections
_TOO_LARGE = 552


class Stage(StrEnum):
    """The part of an SMTP session that a reply answers."""

    SESSION = "session"  # the greeting, STARTTLS and the sign-in
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


class Refused(Exception):
    """The mail server's reply is a refusal; `code` is None for one that is no SMTP."""

    def __init__(self, stage: Stage, code: int | None, text: str) -> None:
        super().__init__(text)
        self.stage, self.code, self.text = stage, code, text


class NotAsSet(Exception):
    """The mail server does not do what the settings need; the message tells the operator."""


class ReplyMeaning(NamedTuple):
    """`is_final`: the mail never arrives. `is_servers`: no mail would pass now."""

    is_final: bool
    is_servers: bool


def meaning_of(stage: Stage, code: int) -> ReplyMeaning:
    """Judges a failure.

    A reply to the session or the sender is about the server or the operator's settings, so that
    even a 5xx may pass later; but a mail that is too large stays so. A 5xx to the recipient or the
    content is final, a 4xx is not.
    """
    if code == CLOSING:
        return ReplyMeaning(is_final=False, is_servers=True)
    if stage is Stage.SENDER and code == _TOO_LARGE:
        return ReplyMeaning(is_final=True, is_servers=False)
    if stage in {Stage.SESSION, Stage.SENDER}:
        return ReplyMeaning(is_final=False, is_servers=True)
    return ReplyMeaning(is_final=code >= 500, is_servers=False)
