"""Defines how calls with an `Idempotency-Key` are refused, and how repeated ones are marked."""

from event_trigger.errors import Conflict, Forbidden, Invalid

REPLAYED_HEADER = "Idempotent-Replayed"


class StillRunning(Conflict):
    slug, title = "idempotency-key-in-use", "The first call is still running"
    default_detail = "The first call with this key or id is still running. Try again in a moment."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class KeyReused(Invalid):
    slug, title = "idempotency-key-reused", "The Idempotency-Key was used for another body"
    default_detail = "This Idempotency-Key came with another body before. Use a new key."


class MoreRightsNeeded(Forbidden):
    """Refuses to repeat an answer to a credential that holds less than the one that got it."""

    slug, title = "answer-needs-more-rights", "The first answer needs more rights"
    default_detail = (
        "A credential with more rights made the first call with this Idempotency-Key. Repeat it"
        " with the same rights, or read what it made."
    )
