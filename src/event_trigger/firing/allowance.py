"""Limits what the calls of one batch cost together, and says when to give way to other work."""

from dataclasses import dataclass, field

from event_trigger.errors import TooLarge
from event_trigger.triggers.payload_schema import MAX_WORK

MOST_CHARACTERS = 16 * 1024 * 1024  # of bodies, and bytes of predefined payloads
MOST_WORK = 2 * MAX_WORK  # of checks by JSON Schemas: some 100 ms
_COST_OF_A_CALL = 1024
_COST_OF_A_SLICE = 64 * 1024  # about a millisecond


class BatchFull(TooLarge):
    slug, title = "batch-too-large", "The batch is too large"
    default_detail = (
        "The payloads of this batch are too large together, with those that its triggers have, or"
        " take too long to check. Send this call in another batch."
    )


@dataclass(slots=True)
class Allowance:
    """The rest that a batch may still use; a trigger may make its payload from one of a MiB."""

    characters: int = MOST_CHARACTERS
    work: int = MOST_WORK
    _since_pause: int = field(default=0, init=False)

    def takes_payload(self, characters: int) -> bool:
        """Takes so many, or returns False if the batch has no room for them."""
        if characters > self.characters:
            return False
        self.characters -= characters
        return True

    def takes_check(self, work: int) -> bool:
        """Takes the time of a check, or returns False; `work` is that of `work_of`.

        A check of more than MAX_WORK is not made, and costs nothing.
        """
        if work > MAX_WORK:
            return True
        if work > self.work:
            return False
        self.work -= work
        self._since_pause += work
        return True

    def counts_slice(self, characters: int = 0) -> bool:
        """Counts a call, of which so many characters were parsed and merged.

        Returns True after each slice of calls: then let the event loop do other work.
        """
        self._since_pause += _COST_OF_A_CALL + characters
        if self._since_pause < _COST_OF_A_SLICE:
            return False
        self._since_pause = 0
        return True
