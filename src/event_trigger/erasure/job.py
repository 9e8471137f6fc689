"""Deletes the rows of deleted projects, and takes erased users out of the audit log."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from sqlalchemy import Table

from event_trigger.audit.redaction import Redaction
from event_trigger.db.batches import BATCH_ROWS
from event_trigger.db.engine import Sessions
from event_trigger.erasure.rows import DeletedProjects, ProjectRows, tables_by_owner
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import Partition
from event_trigger.events.retention import is_free_of_sweeps

log = structlog.get_logger()

MOST_BATCHES = 1_000  # of one project in a run: a minute or two

Step = Callable[[ProjectRows], Awaitable[int]]  # deletes a batch; gives the number of its rows


class ProjectErasure:
    """Erases deleted projects; any number of processes may run it, and each may be killed.

    What a run does to a project, in short transactions that hold the project's row:

    1. Takes the address of an erased user, whose own project it was, out of the audit log.
    2. Deletes the rows of all tables, batch by batch.
    3. Deletes the project's own row, if nothing is left and no request of before can add a row.

    All that a run needs is in the tables; a process only remembers which projects it found empty.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._empty: set[int] = set()

    async def run(self) -> None:
        async with self._sessions() as session:
            deleted = await DeletedProjects(session).list_all()
            partitions = await Partitions(session).list_all() if deleted else []
        self._empty.intersection_update(one.id for one in deleted)
        for project_id, is_settled in deleted:
            if is_settled or project_id not in self._empty:
                await self._redact(project_id)
                await self._delete_rows(project_id, partitions)
                await self._finish(project_id, is_settled=is_settled)

    async def _redact(self, project_id: int) -> None:
        """Goes through the whole log: once at first, and again before the address is forgotten."""
        after: int | None = 0
        while after is not None:
            async with self._sessions.begin() as session:
                project = await DeletedProjects(session).lock(project_id)
                if project is None or project.erased_emails is None:
                    return
                redaction = Redaction(session, project_id, project.erased_emails)
                after = await redaction.redact_after(after)

    async def _delete_rows(self, project_id: int, partitions: Sequence[Partition]) -> None:
        gone: Counter[str] = Counter()
        batches = 0
        for name, step in _steps(partitions):
            count = BATCH_ROWS
            while count >= BATCH_ROWS and batches < MOST_BATCHES:
                async with self._sessions.begin() as session:
                    if await DeletedProjects(session).lock(project_id) is None:
                        return
                    count = await step(ProjectRows(session, project_id))
                gone[name] += count
                batches += 1
        if found := +gone:
            log.info("project_rows_deleted", project_id=project_id, **found)

    async def _finish(self, project_id: int, *, is_settled: bool) -> None:
        """Looks whether anything is left; a sweep that counts events might just be adding rows."""
        async with self._sessions.begin() as session:
            projects = DeletedProjects(session)
            if await projects.lock(project_id) is None or not await is_free_of_sweeps(session):
                return
            if await ProjectRows(session, project_id).exist():
                self._empty.discard(project_id)
                return
            self._empty.add(project_id)
            if not is_settled:
                return
            await projects.delete(project_id)
        log.info("project_erased", project_id=project_id)


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
