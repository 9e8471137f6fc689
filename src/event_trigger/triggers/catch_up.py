"""What a trigger does about instants that it missed (CONTRACT.md, "After downtime or a pause")."""

from datetime import timedelta
from enum import StrEnum

DEFAULT_WINDOW = timedelta(minutes=1440)
LONGEST_WINDOW = timedelta(days=3653)
MOST_CAUGHT_UP = 1000  # missed instants that `all` looks back on
GRACE = timedelta(seconds=5)  # what is less late is not missed: a busy process costs no instant
# `all` fires those, and what is hardly late: no two instants are less than a second apart
MOST_WAITING = MOST_CAUGHT_UP + GRACE // timedelta(seconds=1) + 1


class CatchUp(StrEnum):
    LATEST = "latest"
    ALL = "all"
    NONE = "none"
