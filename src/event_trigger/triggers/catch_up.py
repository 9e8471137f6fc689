"""What a trigger does about instants that it missed (CONTRACT.md, "After downtime or a pause")."""

from datetime import timedelta
from enum import StrEnum

DEFAULT_WINDOW = timedelta(minutes=1440)
LONGEST_WINDOW = timedelta(days=3653)
MOST_CAUGHT_UP = 1000  # instants that `all` looks back on
GRACE = timedelta(seconds=5)  # a replica that dies costs others a second or two: nothing is missed


class CatchUp(StrEnum):
    LATEST = "latest"
    ALL = "all"
    NONE = "none"
