"""Says which jobs a process runs, and how often; the plan of triggers is in PostgreSQL."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.audit.recorder import AuditedSession
from event_trigger.audit.repository import AuditLog
from event_trigger.auth.logins.throttle import FailureCounts
from event_trigger.auth.recovery.mailing import AccountMailing
from event_trigger.auth.repository.logins import Logins
from event_trigger.auth.repository.password_resets import PasswordResets
from event_trigger.calendars.extending import CalendarExtension
from event_trigger.config import Settings
from event_trigger.db.clock import database_now
from event_trigger.db.engine import DATABASE_ERRORS, Sessions, create_sessions
from event_trigger.db.notify import (
    DELIVERIES_CHANGED,
    LISTEN_URL_SETTING,
    MAILS_QUEUED,
    PROJECTS_DELETED,
    SCHEDULE_CHANGED,
    OnNotification,
    listen,
)
from event_trigger.db.stuck_backends import end_stuck_backends
from event_trigger.db.urls import asyncpg_url
from event_trigger.deliveries.attempts import AttemptParts
from event_trigger.deliveries.payloads.backlog import BacklogCount
from event_trigger.deliveries.retention import retain_deliveries
from event_trigger.deliveries.worker import DeliveryWorker
from event_trigger.erasure.job import ProjectErasure
from event_trigger.events.measuring import measure
from event_trigger.events.retention import make_partitions, sweep
from event_trigger.firing.idempotency import purge_answers
from event_trigger.hooks.lifecycle import TriggerHooks
from event_trigger.hooks.refusals.records import (
    REFUSALS_KEPT_FOR,
    RefusalLog,
    purge_refusals,
    record_refusals,
)
from event_trigger.idempotency.repository import ANSWERS_KEPT_FOR, purge_kept_answers
from event_trigger.job_clock import FIRST_AFTER_SECONDS, SILENT_AFTER_SECONDS, JobClock
from event_trigger.notices.telling import purge_notices, tell_changes, tell_of_keys
from event_trigger.overview.counting import count_all, purge_minutes
from event_trigger.projects.repository import Invitations
from event_trigger.scheduling.beats import BEAT_EVERY_SECONDS, purge_outages, record_beat
from event_trigger.scheduling.commits import Commits
from event_trigger.scheduling.dispatcher import LONGEST_WAIT_SECONDS, fire_due
from event_trigger.telemetry import LISTENER_CONNECTED
from event_trigger.triggers.completion import delete_completed
from event_trigger.triggers.list_tables import TriggerFollower
from event_trigger.triggers.versions import purge_history
from event_trigger.triggers.zone_updates.replanning import ZoneRulesFollower

END_STUCK_EVERY_SECONDS = 2.0
FOLLOW_ZONE_RULES_EVERY_SECONDS = 1.0  # for this long, replicas may use different zone rules
COUNT_BACKLOG_EVERY_SECONDS = 2.0
MEASURE_EVENTS_EVERY_SECONDS = 2.0
TELL_CHANGES_EVERY_SECONDS = 1.0
TELL_OF_KEYS_EVERY = timedelta(minutes=5)
COUNT_PROJECTS_EVERY = timedelta(seconds=2)
ERASE_EVERY_SECONDS = 10.0
DELETE_COMPLETED_EVERY_SECONDS = 2.0  # so long a completed trigger stays at most, or a little more
FOLLOW_TRIGGERS_EVERY_SECONDS = 60.0  # so old may the order of a list by last_fired_at be
EXTEND_CALENDARS_EVERY = timedelta(hours=1)
RECORD_REFUSALS_EVERY_SECONDS = 2.0
SEND_ACCOUNT_MAILS_EVERY_SECONDS = 5.0
DRAIN_SECONDS = 10.0
AUDIT_KEPT_FOR = timedelta(days=90)


class Jobs:
    """Runs all recurring jobs of one process; every replica runs them, and there is no leader."""

    def __init__(
        self,
        engine: AsyncEngine,
        settings: Settings,
        *,
        firing: Sessions,
        attempts: AttemptParts,
        refusals: RefusalLog,
        on_notification: Mapping[str, OnNotification],
    ) -> None:
        """`firing` has separate connections, so that no other job delays due triggers.

        `on_notification` are further callbacks by channel.
        """
        self._engine = engine
        sessions = create_sessions(engine)
        self._commits = Commits(firing, self._note_dispatch)
        self._sessions = sessions
        self._audited = create_sessions(engine, AuditedSession)
        self._hooks = TriggerHooks(attempts.vault)
        self._extension = CalendarExtension(self._audited)
        self._settings = settings
        self._clock = JobClock()
        self._on_notification = on_notification
        self._worker = DeliveryWorker(
            sessions, attempts, on_capacity=lambda: self._clock.wake("deliver")
        )
        self._zone_rules = ZoneRulesFollower(engine, keep_for=settings.keep_for)
        self._backlog = BacklogCount(sessions, most_bytes=settings.max_backlog_bytes)
        self._erasure = ProjectErasure(sessions)
        self._account_mails = AccountMailing(
            sessions, attempts.vault, attempts.mailer, settings.public_url
        )
        self._followed = TriggerFollower(sessions)
        self._refusals = refusals
        self._dispatched_at: float | None = None
        self._watchers: list[asyncio.Task[None]] = []
        self._listen_url = _listen_url(settings)

    def start(self) -> None:
        """Looks for due triggers and deliveries at once, and begins all other work a little later.

        Starting the process has done the urgent rest already, such as making partitions.
        """
        longest_wait = timedelta(seconds=LONGEST_WAIT_SECONDS)
        dispatch, beat = partial(fire_due, self._commits), partial(record_beat, self._sessions)
        self._clock.add("dispatch", dispatch, every=longest_wait, at_once=True)
        beat_every = timedelta(seconds=BEAT_EVERY_SECONDS)
        self._clock.add("beat", beat, every=beat_every, at_once=True)
        self._clock.add("deliver", self._worker.deliver_due, every=longest_wait, at_once=True)
        sweep_every = self._settings.sweep_every
        is_short = sweep_every < timedelta(seconds=FIRST_AFTER_SECONDS)  # partitions end soon
        self._clock.add(
            "make_partitions", self._make_partitions, every=sweep_every / 2, at_once=is_short
        )
        self._clock.add("retain", self._retain, every=sweep_every, at_once=is_short)
        self._clock.add(
            "retain_deliveries", self._retain_deliveries, every=self._settings.retention_interval
        )
        self._clock.add(
            "zone_rules",
            self._zone_rules.follow,
            every=timedelta(seconds=FOLLOW_ZONE_RULES_EVERY_SECONDS),
        )
        self._clock.add(
            "end_stuck_sessions", self._end_stuck, every=timedelta(seconds=END_STUCK_EVERY_SECONDS)
        )
        self._clock.add(
            "count_backlog",
            self._backlog.update,
            every=timedelta(seconds=COUNT_BACKLOG_EVERY_SECONDS),
        )
        self._clock.add(
            "measure_events",
            self._measure_events,
            every=timedelta(seconds=MEASURE_EVENTS_EVERY_SECONDS),
        )
        self._clock.add(
            "tell_changes",
            self._tell_changes,
            every=timedelta(seconds=TELL_CHANGES_EVERY_SECONDS),
        )
        self._clock.add("tell_of_keys", self._tell_of_keys, every=TELL_OF_KEYS_EVERY)
        self._clock.add("count_projects", self._count_projects, every=COUNT_PROJECTS_EVERY)
        self._clock.add("erase", self._erasure.run, every=timedelta(seconds=ERASE_EVERY_SECONDS))
        self._clock.add(
            "delete_completed",
            self._delete_completed,
            every=timedelta(seconds=DELETE_COMPLETED_EVERY_SECONDS),
        )
        self._clock.add(
            "follow_triggers",
            self._followed.follow,
            every=timedelta(seconds=FOLLOW_TRIGGERS_EVERY_SECONDS),
        )
        self._clock.add("extend_calendars", self._extension.run, every=EXTEND_CALENDARS_EVERY)
        self._clock.add(
            "record_refusals",
            self._record_refusals,
            every=timedelta(seconds=RECORD_REFUSALS_EVERY_SECONDS),
        )
        self._clock.add(
            "send_account_mails",
            self._account_mails.run,
            every=timedelta(seconds=SEND_ACCOUNT_MAILS_EVERY_SECONDS),
        )
        self._clock.start()
        self._watchers = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._clock.wake_late_jobs()),
        ]

    @property
    def attempts_in_flight(self) -> int:
        return self._worker.in_flight

    async def stop(self) -> None:
        """Starts no more runs, waits for running ones, and then shuts the scheduler down."""
        if not self._watchers:
            return  # it was never started
        self._clock.pause()
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.wait(self._watchers)
        await self._clock.drain(DRAIN_SECONDS)
        await self._worker.drain(DRAIN_SECONDS)
        self._clock.stop()
        for last in (self._record_refusals, self._commits.end):
            with suppress(*DATABASE_ERRORS):
                await last()

    async def dispatch_problem(self) -> str | None:
        """Returns a reason for `/readyz` if the last successful dispatch was over 10 s ago."""
        if self._dispatched_at is None:
            return "the scheduler has not run yet"
        seconds = asyncio.get_running_loop().time() - self._dispatched_at
        if seconds <= SILENT_AFTER_SECONDS:
            return None
        return f"the last dispatch was {seconds:.0f} s ago{self._clock.error_of('dispatch')}"

    async def overdue_jobs(self) -> str | None:
        """Names the jobs that failed for three intervals (10 s at least) or run for over 600 s."""
        return "; ".join(self._clock.overdue(but="dispatch")) or None

    def _note_dispatch(self) -> None:
        self._dispatched_at = asyncio.get_running_loop().time()

    async def _make_partitions(self) -> None:
        """Runs apart from `_retain`, which may take long: without partitions nothing fires."""
        await make_partitions(self._sessions, self._settings)

    async def _retain(self) -> None:
        await sweep(self._sessions, self._settings)
        async with self._sessions() as session:
            now = await database_now(session)
        await purge_history(self._sessions, now - self._settings.keep_for)
        await purge_outages(self._sessions)
        await purge_minutes(self._sessions, now - self._settings.keep_for)
        await purge_answers(self._sessions, now - ANSWERS_KEPT_FOR)
        await purge_kept_answers(self._sessions, now - ANSWERS_KEPT_FOR)
        await purge_refusals(self._sessions, now - REFUSALS_KEPT_FOR)
        async with self._sessions.begin() as session:
            await Logins(session).purge_expired()
            await Invitations(session).purge_expired()
            await PasswordResets(session).purge_expired()
            await FailureCounts(session).purge()
        async with self._sessions.begin() as session:
            await AuditLog(session).purge_older_than(now - AUDIT_KEPT_FOR)

    async def _retain_deliveries(self) -> None:
        """Runs apart from `_retain`, which must not wait for this."""
        await retain_deliveries(self._sessions, self._settings.keep_for)
        await purge_notices(self._sessions, after=self._settings.keep_for)

    async def _tell_changes(self) -> None:
        await tell_changes(self._sessions)

    async def _tell_of_keys(self) -> None:
        await tell_of_keys(self._sessions)

    async def _measure_events(self) -> None:
        await measure(self._sessions, most_bytes=self._settings.max_event_bytes)

    async def _delete_completed(self) -> float | None:
        return await delete_completed(self._audited, self._hooks)

    async def _record_refusals(self) -> None:
        await record_refusals(self._sessions, self._refusals)

    async def _count_projects(self) -> None:
        await count_all(self._sessions, every=COUNT_PROJECTS_EVERY)

    async def _end_stuck(self) -> None:
        async with self._sessions.begin() as session:
            await end_stuck_backends(session)

    async def _listen(self) -> None:
        await listen(
            self._engine, self._callbacks(), self._listen_url, on_change=LISTENER_CONNECTED.set
        )

    def _callbacks(self) -> dict[str, OnNotification]:
        return {
            SCHEDULE_CHANGED: lambda _: self._clock.wake("dispatch"),
            DELIVERIES_CHANGED: lambda _: self._clock.wake("deliver"),
            MAILS_QUEUED: lambda _: self._clock.wake("send_account_mails"),
            PROJECTS_DELETED: lambda _: self._clock.wake("erase"),
            **self._on_notification,
        }


def _listen_url(settings: Settings) -> URL | None:
    given = settings.listen_database_url
    return (
        None if given is None else asyncpg_url(given.get_secret_value(), setting=LISTEN_URL_SETTING)
    )
