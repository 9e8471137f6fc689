"""HTTP operations that explain one instant of a trigger, or account for all in a time range."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.dependencies import EXPENSIVE, needs
from event_trigger.auth.scopes import Scope
from event_trigger.db.replica.reads import OpenRead
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.models import UnfiredReason
from event_trigger.reconciliation.evidence import Evidence, VersionInForce, collect_evidence
from event_trigger.reconciliation.explain import Explanation, explain
from event_trigger.reconciliation.schemas import (
    AccountRead,
    DifferenceRead,
    ExplanationRead,
    ScheduleInForce,
    UnfiredRead,
)
from event_trigger.reconciliation.statement import Statement, make_statement
from event_trigger.triggers.dependencies import TriggerKeyDep
from event_trigger.triggers.repository import Triggers
from event_trigger.triggers.schedule.describe import describe_plan
from event_trigger.triggers.schedule.heartbeat import is_heartbeat
from event_trigger.triggers.schemas.reading import heartbeat_words
from event_trigger.web.cpu_bound import CpuBoundDep, TooManyExpensiveCalls
from event_trigger.web.dependencies import ReadsDep, SessionsDep, app_state
from event_trigger.web.problems import problems
from event_trigger.web.schemas import Instant, check_span
from event_trigger.web.strict_json import strict_router

MOST_LISTED = 1000

router = strict_router(
    prefix="/triggers",
    tags=["triggers"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid, TooManyExpensiveCalls),
    dependencies=[needs(Scope.TRIGGERS_READ), EXPENSIVE],
)


@router.get(
    "/{trigger_id:id}/explain", summary="Explain an instant", operation_id="explain_trigger"
)
async def explain_trigger(
    request: Request,
    key: TriggerKeyDep,
    sessions: SessionsDep,
    cpu_bound: CpuBoundDep,
    at: Annotated[Instant, Query(description="The planned instant, to the microsecond.")],
) -> ExplanationRead:
    """Explains why there is an event for this instant, or why there is none.

    The outcome is also `missed` if the trigger was changed, deleted or set aside before the instant
    could fire, and also `expired` if its records are older than retention. `reason` says which.
    """
    keep_for = app_state(request).settings.keep_for
    async with sessions() as session:
        evidence = await collect_evidence(session, key, at=at, keep_for=keep_for)
    return await cpu_bound.compute(partial(_explain, evidence, at=at, keep_for=keep_for))


@router.get(
    "/{trigger_id:id}/accounting",
    summary="Account for every instant",
    operation_id="account_trigger",
)
async def account_trigger(
    request: Request,
    key: TriggerKeyDep,
    reads: ReadsDep,
    cpu_bound: CpuBoundDep,
    since: Annotated[Instant | None, Query(description="Inclusive.")] = None,
    until: Annotated[Instant | None, Query(description="Exclusive; at most now.")] = None,
) -> AccountRead:
    """Computes all planned instants again, and compares them with the recorded events.

    It covers the records that are kept: by default, the last 47 hours. `balanced` is false if they
    differ.
    """
    keep_for = app_state(request).settings.keep_for

    async def shown(session: AsyncSession) -> bool:
        return await Triggers(session).get(key) is not None

    async def account(reading: OpenRead) -> Statement:
        async with reading() as session:
            check_span(since, until)
            trigger = await Triggers(session).get(key)
        if trigger is None:
            raise NotFound
        return await make_statement(
            reading, cpu_bound.compute, key, trigger, keep_for=keep_for, since=since, until=until
        )

    return _accounted(key, await reads.run_in_parts(account, shown=shown))


def _explain(evidence: Evidence, *, at: datetime, keep_for: timedelta) -> ExplanationRead:
    return _explained(explain(evidence, at=at, keep_for=keep_for))


def _explained(found: Explanation) -> ExplanationRead:
    return ExplanationRead(
        outcome=found.outcome,
        reason=found.reason,
        scheduled_for=found.scheduled_for,
        event_id=None if found.event is None else found.event.id,
        lag_ms=None if found.lag is None else found.lag / timedelta(milliseconds=1),
        schedule=None if found.in_force is None else _in_force(found.in_force),
    )


def _in_force(schedule: VersionInForce) -> ScheduleInForce:
    return ScheduleInForce(
        version=schedule.version,
        words=_words_of(schedule),
        details=schedule.details,
        after=schedule.after,
        until=schedule.until,
        zone_rules=schedule.zone_rules,
    )


def _words_of(schedule: VersionInForce) -> str | None:
    if is_heartbeat(schedule.details):
        return heartbeat_words(schedule.details)
    plan = schedule.plan
    return None if plan is None else describe_plan(plan, schedule.details)


def _accounted(key: OwnedId, statement: Statement) -> AccountRead:
    account = statement.totals
    return AccountRead(
        trigger_id=key.id,
        since=statement.since,
        until=statement.until,
        planned=account.planned,
        fired=account.fired,
        pending=statement.pending,
        unfired={reason: account.unfired[reason] for reason in UnfiredReason},
        balanced=not account.differences,
        differences=[
            DifferenceRead.model_validate(one) for one in account.differences[:MOST_LISTED]
        ],
        ranges=[
            UnfiredRead(
                version=one.version,
                first=one.unfired.instants.first,
                last=one.unfired.instants.last,
                count=one.unfired.instants.count,
                reason=one.unfired.reason,
            )
            for one in statement.ranges[-MOST_LISTED:]
        ],
    )
