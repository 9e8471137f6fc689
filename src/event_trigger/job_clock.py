"""Starts jobs at their intervals, and sooner when they are woken; APScheduler is only the clock."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.base import STATE_RUNNING
from apscheduler.triggers.interval import IntervalTrigger

from event_trigger.clock import utc_now
from event_trigger.db.engine import sqlstate
from event_trigger.db.errors import FailureLog, public_reason
from event_trigger.telemetry import (
    JOB_DURATION,
    JOB_FAILURES,
    JOB_INTERVAL,
    JOB_LAST_SUCCESS,
    NO_SQLSTATE,
)

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 5.0
FIRST_AFTER_SECONDS = 5.0  # jobs that are not urgent start about this long after the process
_APART_SECONDS = 0.618  # modulo 1 second, its multiples lie far apart, however many there are
LOOK_FOR_LATE_EVERY_SECONDS = 1.0
SILENT_AFTER_SECONDS = 10.0  # without a dispatch, the process is not ready
OVERDUE_INTERVALS = 3  # a job that fails for this many intervals makes /readyz fail
ENDLESS_AFTER_SECONDS = 600.0  # so does a run that lasts longer than this


def first_wait(every: float, *, number: int) -> float:
    """Returns the seconds after which the job of this number begins, which runs so often.

    Intervals are whole seconds, so each job begins at another part of a second: ten jobs at one
    instant hold up the requests of that instant, and made the slowest hundredth of reads.
    """
    return min(every, FIRST_AFTER_SECONDS) + number * _APART_SECONDS % 1


def retry_wait(every: float, *, failures: int) -> float:
    """Returns the seconds after which a job of this interval runs again that fails on and on.

    While a node of a cluster is away, most jobs fail: all of them each second would take the cores
    that the owners on other nodes need.
    """
    wait = RETRY_AFTER_SECONDS * 2.0 ** min(failures - 1, 9)
    return max(RETRY_AFTER_SECONDS, min(wait, every, LONGEST_RETRY_SECONDS))


class JobClock:
    """Runs each job once at a time, again after a failure, and remembers how it went."""

    def __init__(self) -> None:
        self._work: dict[str, Callable[[], Awaitable[float | None]]] = {}
        self._running: dict[str, asyncio.Task[object]] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._woken: set[str] = set()
        self._every: dict[str, float] = {}
        self._ran_at: dict[str, float] = {}
        self._began_at: dict[str, float] = {}
        self._succeeded_at: dict[str, float] = {}
        self._failed: Counter[str] = Counter()  # times in a row
        self._failures = FailureLog(log, "job_failed", outage="job_waits_for_database")
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            # APScheduler counts a run that has just ended as running, and would skip the next one;
            # `_run` itself ensures that a job runs once at a time
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 9},
        )

    def start(self) -> None:
        self._scheduler.start()

    def pause(self) -> None:
        """Starts no more runs."""
        self._scheduler.pause()

    async def drain(self, seconds: float) -> None:
        """Waits for running jobs, for so long at most."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=seconds)

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)

    def add(
        self,
        name: str,
        work: Callable[[], Awaitable[float | None]],
        *,
        every: timedelta,
        at_once: bool = False,
    ) -> None:
        async def run() -> None:
            await self._run(name)

        self._work[name] = work
        seconds = every.total_seconds()
        wait = 0.0 if at_once else first_wait(seconds, number=len(self._every))
        first = utc_now() + timedelta(seconds=wait)
        self._scheduler.add_job(run, IntervalTrigger(seconds=seconds), id=name, next_run_time=first)
        self._every[name] = seconds
        self._ran_at[name] = self._succeeded_at[name] = asyncio.get_running_loop().time()
        JOB_INTERVAL.labels(name).set(seconds)
        JOB_LAST_SUCCESS.labels(name).set(time.time())
        JOB_FAILURES.labels(name, NO_SQLSTATE)
        JOB_DURATION.labels(name)

    async def _run(self, name: str) -> None:
        """Runs one job unless it is running; logs a failure, and runs it again soon."""
        self._starting.pop(name, None)
        if name in self._running:
            return
        task = asyncio.current_task()
        assert task is not None
        clock = asyncio.get_running_loop().time
        self._running[name], self._began_at[name] = task, clock()
        self._woken.discard(name)
        try:
            wait = await self._work[name]()
        except Exception as error:
            self._failures.failed(name, error, job=name)
            JOB_FAILURES.labels(name, sqlstate(error) or NO_SQLSTATE).inc()
            self._failed[name] += 1
            wait = retry_wait(self._every[name], failures=self._failed[name])
        else:
            self._failed[name] = 0
            self._failures.succeeded(name)
            self._succeeded_at[name] = clock()
            JOB_LAST_SUCCESS.labels(name).set(time.time())
        finally:
            del self._running[name]
            self._ran_at[name] = clock()
            JOB_DURATION.labels(name).observe(clock() - self._began_at[name])
        if name in self._woken or wait == 0:
            self._run_now(name)
        elif wait is not None:
            self._run_in(name, wait)

    async def wake_late_jobs(self) -> None:
        """Runs jobs that APScheduler delays because this machine's clock was set back."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_FOR_LATE_EVERY_SECONDS)
            for name, ran_at in self._ran_at.items():
                if name not in self._running and loop.time() - ran_at > 2 * self._every[name]:
                    self._run_in(name, 0)

    def wake(self, name: str) -> None:
        """Runs a job now; one that is running runs once more, as it may have read too early."""
        self._woken.add(name)
        if name not in self._running:
            self._run_now(name)

    def _run_now(self, name: str) -> None:
        """Runs a job past APScheduler, which takes as long as a delivery for the next run."""
        if self._scheduler.state == STATE_RUNNING and name not in self._starting:
            self._starting[name] = asyncio.create_task(self._run(name))

    def _run_in(self, name: str, seconds: float) -> None:
        at = utc_now() + timedelta(seconds=seconds)
        self._scheduler.modify_job(name, next_run_time=at)

    def overdue(self, *, but: str) -> list[str]:
        """Describes the jobs that failed for three intervals (10 s at least) or run for over 600 s.

        Leaves one job out.
        """
        now = asyncio.get_running_loop().time()
        problems = [self._problem(name, now) for name in self._every if name != but]
        return [one for one in problems if one is not None]

    def _problem(self, name: str, now: float) -> str | None:
        if self._failures.last(name) is not None:
            seconds = now - self._succeeded_at[name]
            if seconds > max(SILENT_AFTER_SECONDS, OVERDUE_INTERVALS * self._every[name]):
                return f"the job {name} last succeeded {seconds:.0f} s ago{self.error_of(name)}"
        elif (
            name in self._running
            and (seconds := now - self._began_at[name]) > ENDLESS_AFTER_SECONDS
        ):
            return f"the job {name} has been running for {seconds:.0f} s"
        return None

    def error_of(self, name: str) -> str:
        error = self._failures.last(name)
        return "" if error is None else f" ({public_reason(error)})"
