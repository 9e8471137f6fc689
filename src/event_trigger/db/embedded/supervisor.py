"""Restarts the embedded server when it ends, so that nobody has to intervene."""

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
from event_trigger.db.embedded.postmaster import ServerConfig, last_log_lines, start, stop

log = structlog.get_logger()

RESTART_AFTER_SECONDS = (0.0, 1.0, 4.0, 10.0, 20.0)  # the pause before each try
STEADY_AFTER_SECONDS = 10.0  # a server that was ready for longer gets all tries again
_POLL_SECONDS = 0.1
_SHUTDOWN_NOTICE_SECONDS = 2.0


@contextmanager
def supervised(
    config: ServerConfig,
    *,
    on_give_up: Callable[[], None],
    restart_after: Sequence[float] = RESTART_AFTER_SECONDS,
) -> Iterator[None]:
    """Runs a server until the body ends, and starts it again when it ends by itself.

    `restart_after` holds the pause (seconds) before each try. When all have failed, it calls
    `on_give_up` from another thread, and raises EmbeddedPostgresError after the body has ended.
    """
    with closing(DownFlag(config.sockets)) as down_flag:
        down_flag.begin()
        supervisor = _Supervisor(config, down_flag, on_give_up, restart_after)
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
    """Runs one server after another: `watch` stops each of them, and starts all but the first."""

    def __init__(
        self,
        config: ServerConfig,
        down_flag: DownFlag,
        on_give_up: Callable[[], None],
        restart_after: Sequence[float],
    ) -> None:
        self.ending = threading.Event()
        self.failure: EmbeddedPostgresError | None = None
        self._config = config
        self._down_flag = down_flag
        self._on_give_up = on_give_up
        self._restart_after = restart_after
        self._tries = 0
        self._server: subprocess.Popen[bytes] | None = self._start()

    def watch(self) -> None:
        """Runs in one thread to the end: Linux ends a server with the thread that started it."""
        try:
            while self._server is not None:
                self._server = self._next_server(self._server)
        except Exception as error:
            log.exception("embedded_postgres_not_watched")
            self._give_up(f"the embedded PostgreSQL cannot be watched: {type(error).__name__}")
        finally:
            if self._server is not None:
                stop(self._server)

    def _next_server(self, server: subprocess.Popen[bytes]) -> subprocess.Popen[bytes] | None:
        """Waits until the server ends, and starts another; returns None when it is to stop."""
        since = time.monotonic()
        while server.poll() is None:
            if self.ending.wait(_POLL_SECONDS):
                stop(server)
                return None
        if time.monotonic() - since > STEADY_AFTER_SECONDS:
            self._tries = 0
        self._down_flag.begin()
        # a service manager may end the server as well as the service, and a moment earlier
        if server.returncode == 0 and self.ending.wait(_SHUTDOWN_NOTICE_SECONDS):
            return None
        log.error(
            "embedded_postgres_ended",
            pid=server.pid,
            **exit_status(server.returncode),
            log=self._log_lines(),
            disk_free_bytes=self._disk_free(),  # on a full disk the log has no lines either
        )
        return self._restart(ended_at=time.monotonic())

    def _restart(self, ended_at: float) -> subprocess.Popen[bytes] | None:
        max_tries, last_error = len(self._restart_after), ""
        while self._tries < max_tries:
            pause = self._restart_after[self._tries]
            self._tries += 1
            if self.ending.wait(pause):
                return None
            try:
                server = self._start()
            except (EmbeddedPostgresError, OSError) as error:
                last_error = str(error)
                if not self.ending.is_set():
                    log.error(
                        "embedded_postgres_not_started",
                        attempt=self._tries,
                        of=max_tries,
                        error=last_error,
                    )
                continue
            self._down_flag.end()
            log.warning(
                "embedded_postgres_started",
                pid=server.pid,
                attempt=self._tries,
                seconds_away=round(time.monotonic() - ended_at, 3),
            )
            return server
        self._give_up(
            f"the embedded PostgreSQL ended, and {max_tries} tries to start it again failed."
            f" The last one: {last_error or 'it ended again within seconds'}"
        )
        return None

    def _start(self) -> subprocess.Popen[bytes]:
        self._log_offset = _log_size(self._config)
        return start(self._config, is_cancelled=self.ending.is_set)

    def _log_lines(self) -> list[str]:
        try:
            return last_log_lines(self._config.log, since=self._log_offset).splitlines()
        except OSError as error:
            return [f"{self._config.log}: {error.strerror}"]

    def _disk_free(self) -> int | None:
        try:
            return shutil.disk_usage(self._config.log.parent).free
        except OSError:
            return None

    def _give_up(self, reason: str) -> None:
        self.failure = EmbeddedPostgresError(reason)
        log.error("embedded_postgres_given_up", error=reason)
        self._on_give_up()


def exit_status(code: int) -> dict[str, int | str]:
    """Returns a process's exit code, or the signal that ended it, as fields of a log line."""
    if code >= 0:
        return {"exit_code": code}
    try:
        return {"signal": signal.Signals(-code).name}
    except ValueError:  # a real-time signal has no name
        return {"signal": -code}


def _log_size(config: ServerConfig) -> int:
    return config.log.stat().st_size if config.log.exists() else 0
