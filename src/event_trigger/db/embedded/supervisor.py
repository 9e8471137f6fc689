"""The embedded server is started again when it ends, so that nobody has to notice that it has."""

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import structlog

from event_trigger.db.embedded.down_flag import DownFlag
from event_trigger.db.embedded.os_user import EmbeddedPostgresError
from event_trigger.db.embedded.postmaster import Launch, last_words, start, stop

log = structlog.get_logger()

RESTART_AFTER = (0.0, 1.0, 4.0, 10.0, 20.0)  # seconds before each try
STEADY_AFTER = 10.0  # seconds that a server must have been ready for, to be given all tries again
_POLL = 0.1  # seconds
_TOLD_TO_END_TOO = 2.0  # seconds


@contextmanager
def supervised(
    launch: Launch,
    *,
    gave_up: Callable[[], None],
    restart_after: Sequence[float] = RESTART_AFTER,
) -> Iterator[None]:
    """Runs a server for as long as the body does, and starts it again when it ends.

    After as many tries in a row as `restart_after` has, it calls `gave_up`, from another thread,
    and raises EmbeddedPostgresError when the body has ended.
    """
    with closing(DownFlag(launch.sockets)) as down_flag:
        down_flag.begin()
        supervisor = _Supervisor(launch, down_flag, gave_up, restart_after)
        down_flag.end()
        watching = threading.Thread(target=supervisor.watch, name="embedded-postgres")
        watching.start()
        try:
            yield
        finally:
            supervisor.ending.set()
            watching.join()
            if supervisor.failure is not None:
                raise supervisor.failure


class _Supervisor:
    """One server after another; all but the first are started, and each is stopped, by `watch`."""

    def __init__(
        self,
        launch: Launch,
        down_flag: DownFlag,
        gave_up: Callable[[], None],
        restart_after: Sequence[float],
    ) -> None:
        self.ending = threading.Event()
        self.failure: EmbeddedPostgresError | None = None
        self._launch = launch
        self._down_flag = down_flag
        self._gave_up = gave_up
        self._restart_after = restart_after
        self._tries = 0
        self._server: subprocess.Popen[bytes] | None = self._start()

    def watch(self) -> None:
        """Runs in a thread that lives for as long as each server: Linux ends one with the other."""
        try:
            while self._server is not None:
                self._server = self._successor(self._server)
        except Exception as error:
            log.exception("embedded_postgres_not_watched")
            self._give_up(f"the embedded PostgreSQL cannot be watched: {type(error).__name__}")
        finally:
            if self._server is not None:
                stop(self._server)

    def _successor(self, server: subprocess.Popen[bytes]) -> subprocess.Popen[bytes] | None:
        """Waits for a server's end, and gives another one; None if there is to be none."""
        since = time.monotonic()
        while server.poll() is None:
            if self.ending.wait(_POLL):
                stop(server)
                return None
        if time.monotonic() - since > STEADY_AFTER:
            self._tries = 0
        self._down_flag.begin()
        # who ends the service may tell the server to end too, and a moment before
        if server.returncode == 0 and self.ending.wait(_TOLD_TO_END_TOO):
            return None
        log.error(
            "embedded_postgres_ended",
            pid=server.pid,
            **exit_status(server.returncode),
            log=self._last_words(),
            disk_free_bytes=self._disk_free(),  # none left, and the log has no words either
        )
        return self._started_again(ended_at=time.monotonic())

    def _started_again(self, ended_at: float) -> subprocess.Popen[bytes] | None:
        most, said = len(self._restart_after), ""
        while self._tries < most:
            pause = self._restart_after[self._tries]
            self._tries += 1
            if self.ending.wait(pause):
                return None
            try:
                server = self._start()
            except (EmbeddedPostgresError, OSError) as error:
                said = str(error)
                if not self.ending.is_set():
                    log.error(
                        "embedded_postgres_not_started", attempt=self._tries, of=most, error=said
                    )
                continue
            self._down_flag.end()
            away = round(time.monotonic() - ended_at, 3)
            log.warning(
                "embedded_postgres_started", pid=server.pid, attempt=self._tries, seconds_away=away
            )
            return server
        self._give_up(
            f"the embedded PostgreSQL ended, and {most} tries to start it again were in vain."
            f" The last one: {said or 'it ended again within seconds'}"
        )
        return None

    def _start(self) -> subprocess.Popen[bytes]:
        self._said_before = _size(self._launch)
        return start(self._launch, called_off=self.ending.is_set)

    def _last_words(self) -> list[str]:
        try:
            return last_words(self._launch.log, since=self._said_before).splitlines()
        except OSError as error:
            return [f"{self._launch.log}: {error.strerror}"]

    def _disk_free(self) -> int | None:
        try:
            return shutil.disk_usage(self._launch.log.parent).free
        except OSError:
            return None

    def _give_up(self, why: str) -> None:
        self.failure = EmbeddedPostgresError(why)
        log.error("embedded_postgres_given_up", error=why)
        self._gave_up()


def exit_status(code: int) -> dict[str, int | str]:
    """How a process ended, as fields of a log line: its exit code, or the signal that ended it."""
    if code >= 0:
        return {"exit_code": code}
    try:
        return {"signal": signal.Signals(-code).name}
    except ValueError:  # a real-time signal has no name
        return {"signal": -code}


def _size(launch: Launch) -> int:
    return launch.log.stat().st_size if launch.log.exists() else 0
