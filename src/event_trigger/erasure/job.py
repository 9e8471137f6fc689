"""Deletes the rows of deleted projects, and takes erased users out of the audit log."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from sqlalchemy import Table

from event_trigger.audit.redaction import Redaction
from event_trigger.db.engine import Sessions
from event_trigger.db.transactions import BATCH_ROWS
from event_trigger.erasure.rows import DeletedProject, DeletedProjects, ProjectRows, tables_by_owner
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import Partition
from event_trigger.events.retention import is_free_of_sweeps

log = structlog.get_logger()

RUN_SECONDS = 30.0  # of one run; the next goes on, with other projects first

Step = Callable[[ProjectRows], Awaitable[int]]  # deletes a batch; gives the number of its rows


class ProjectErasure:
    """Erases deleted projects; any number of processes may run it, and each may be killed.

    The steps for a project, in short transactions that hold the project's row:

    1. Go through the audit log for an erased user whose project it was. Once no request from before
       the deletion can add an entry, do it again, and then forget the user's address.
    2. Delete the rows of all tables, batch by batch.
    3. Delete the project's own row, if nothing is left and no such request can add a row.

    All that a run needs is in the tables. A process only remembers how far it has come with which
    project, and which projects it found empty.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._redacted_to: dict[DeletedProject, int | None] = {}  # None is the end of the log
        self._next_step: dict[int, int] = {}
        self._empty: set[int] = set()
        self._first_id = 0

    async def run(self) -> None:
        """Works for half a minute, or a little longer; the next run does the rest."""
        deleted = await self._list_deleted()
        async with self._sessions() as session:
            partitions = await Partitions(session).list_all() if deleted else []
        self._empty.intersection_update(one.id for one in deleted)
        stop_at = _clock() + RUN_SECONDS
        for project in sorted(deleted, key=lambda one: (one.id < self._first_id, one.id)):
            if _clock() > stop_at:
                return
            self._first_id = project.id + 1
            await self._redact(project, stop_at=stop_at)
            if project.is_settled or project.id not in self._empty:
                await self._delete_rows(project.id, partitions, stop_at=stop_at)
                await self._finish(project)

    async def redact(self) -> None:
        """Takes the users who were erased out of the audit log, also if others are just at it."""
        for project in await self._list_deleted():
            await self._redact(project, wait=True)

    async def _list_deleted(self) -> Sequence[DeletedProject]:
        async with self._sessions() as session:
            deleted = await DeletedProjects(session).list_all()
        self._redacted_to = {one: self._redacted_to.get(one, 0) for one in deleted}
        self._next_step = {one.id: self._next_step.get(one.id, 0) for one in deleted}
        return deleted

    async def _redact(
        self, project: DeletedProject, *, wait: bool = False, stop_at: float = math.inf
    ) -> None:
        """Goes on through the log, until another process has the project's row or time is up."""
        while (after := self._redacted_to[project]) is not None and _clock() < stop_at:
            async with self._sessions.begin() as session:
                row = await DeletedProjects(session).lock(project.id, wait=wait)
                if row is None:
                    return
                done = None
                if row.erased_emails is not None:
                    redaction = Redaction(session, project.id, row.erased_emails)
                    done = await redaction.redact_after(after)
                if done is None and project.is_settled:
                    row.erased_emails = None
            self._redacted_to[project] = done

    async def _delete_rows(
        self, project_id: int, partitions: Sequence[Partition], *, stop_at: float
    ) -> None:
        """Goes on with the step that the run before came to; with the first after the last."""
        gone: Counter[str] = Counter()
        steps = _steps(partitions)
        number = self._next_step[project_id] % len(steps)
        while number < len(steps) and _clock() < stop_at:
            name, step = steps[number]
            async with self._sessions.begin() as session:
                if await DeletedProjects(session).lock(project_id) is None:
                    break
                count = await step(ProjectRows(session, project_id))
            gone[name] += count
            number += count < BATCH_ROWS
            self._next_step[project_id] = number % len(steps)
        if found := +gone:
            log.info("project_rows_deleted", project_id=project_id, **found)

    async def _finish(self, project: DeletedProject) -> None:
        """Looks whether anything is left; a sweep that counts events might just be adding rows.

        A project's row stays as long as the audit log may hold the address that is in it.
        """
        async with self._sessions.begin() as session:
            projects = DeletedProjects(session)
            row = await projects.lock(project.id)
            if row is None or not await is_free_of_sweeps(session):
                return
            if await ProjectRows(session, project.id).exist():
                self._empty.discard(project.id)
                return
            self._empty.add(project.id)
            if not project.is_settled or row.erased_emails is not None:
                return
            await projects.delete(project.id)
        log.info("project_erased", project_id=project.id)


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _steps(partitions: Sequence[Partition]) -> list[tuple[str, Step]]:
    """Returns the steps that delete all rows, by table: events first, since they are counted."""
    steps: list[tuple[str, Step]] = [
        ("events", partial(_delete_events, partition=one)) for one in partitions
    ]
    steps.append(("deliveries", ProjectRows.delete_deliveries))
    steps.append(("idempotency_keys", ProjectRows.delete_answers))
    return steps + [(one.name, partial(_delete_from, table=one)) for one in tables_by_owner()]


async def _delete_events(rows: ProjectRows, *, partition: Partition) -> int:
    return await rows.delete_events(partition)


async def _delete_from(rows: ProjectRows, *, table: Table) -> int:
    return await rows.delete_from(table)
