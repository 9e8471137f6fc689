"""Every process can tell, without asking the database, that the embedded server is away.

The process that runs the server holds a lock for as long as there is none. A lock takes no room on
a disk that is full, and ends with the process that holds it.
"""

import fcntl
import time
from pathlib import Path

from sqlalchemy import make_url

from event_trigger.db.embedded.os_user import EmbeddedPostgresError, private_file

_NAME = "away"
_TRIES, _PAUSE = 50, 0.01  # of taking the lock, which a reader has for microseconds
_POLL = 0.1  # seconds
AWAY = "the embedded PostgreSQL has ended, and is being started again"


class DownFlag:
    """The word of the process that runs the server on whether there is one."""

    def __init__(self, sockets: Path) -> None:
        self._file = private_file(sockets / _NAME)

    def begin(self) -> None:
        for _ in range(_TRIES):
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # by a reader, who may have been frozen just then
                time.sleep(_PAUSE)
        return None

    def end(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        self._file.close()


class DownFlagReader:
    """Tells any process whether the embedded server is away."""

    def __init__(self, sockets: Path) -> None:
        self._sockets = sockets

    def reason(self) -> str | None:
        """Why there is no server, if there is none; takes microseconds."""
        return AWAY if self._is_away() else None

    def wait(self, *, within: float) -> None:
        """Waits until there is a server. Raises EmbeddedPostgresError if that takes longer."""
        give_up = time.monotonic() + within
        while self._is_away():
            if time.monotonic() > give_up:
                raise EmbeddedPostgresError(f"{AWAY}; see the service's log, or try again later")
            time.sleep(_POLL)

    def _is_away(self) -> bool:
        try:
            with (self._sockets / _NAME).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return not self._sockets.is_dir()
        return False


def down_flag_of(database_url: str) -> DownFlagReader | None:
    """That of the embedded server whose URL it is; None if it is the URL of another server."""
    sockets = make_url(database_url).query.get("host")
    if not isinstance(sockets, str) or not Path(sockets, _NAME).is_file():
        return None
    return DownFlagReader(Path(sockets))
