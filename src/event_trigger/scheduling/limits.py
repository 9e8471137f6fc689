"""Bounds what one transaction fires, so that nobody waits long for the triggers of others."""

import asyncio

PAYLOAD_BYTES = 64 * 1024 * 1024  # as they are stored
DECIDING_SECONDS = 0.25  # a cron line with many missed instants takes a millisecond or two
_PART_OF_SEVERAL = 16  # of both, in a batch of several shards: their projects wait for each other


class BatchLimits:
    """The bytes and the time that are left to a batch; its first trigger has room in any case."""

    def __init__(self, shards: int = 1) -> None:
        part = 1 if shards == 1 else _PART_OF_SEVERAL
        self.bytes_left = PAYLOAD_BYTES // part
        self._clock = asyncio.get_running_loop().time
        self._stop_at = self._clock() + DECIDING_SECONDS / part

    def take(self, size: int) -> bool:
        """Takes room for payloads of this size; tells whether there is room for more."""
        self.bytes_left -= size
        return self.bytes_left > 0 and self._clock() <= self._stop_at
