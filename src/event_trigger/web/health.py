"""Answers the probes: `/healthz` for the process, `/readyz` for its ability to work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from event_trigger.errors import Unavailable
from event_trigger.web.dependencies import app_state
from event_trigger.web.problems import problem_response, problems
from event_trigger.web.routes import LazyRoute

# probes may send any query, such as one against caches
router = APIRouter(tags=["service"], route_class=LazyRoute)
Check = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class Readiness:
    """Runs the checks of this process; each gives the reason why it is not ready, or None.

    Until the process has `started`, only that check runs.
    """

    started: Check
    checks: tuple[Check, ...]

    async def reasons(self) -> list[str]:
        if (reason := await self.started()) is not None:
            return [reason]
        reasons = [reason for check in self.checks if (reason := await check())]
        return list(dict.fromkeys(reasons))


@dataclass(frozen=True)
class Liveness:
    """Holds the check that tells an orchestrator to restart this process; it does no I/O."""

    check: Callable[[], str | None]


class HealthRead(BaseModel):
    status: str = Field(examples=["ok"])


@router.get(
    "/healthz",
    summary="Is the process alive?",
    operation_id="healthz",
    response_model=HealthRead,
    responses=problems(Unavailable),
)
async def healthz(request: Request) -> Response:
    """Answers 200 while the process runs, without asking the database.

    Answers 503 only while the embedded PostgreSQL, which belongs to the process, is down.
    """
    if (reason := app_state(request).liveness.check()) is not None:
        return problem_response(503, "not-alive", "Not alive", reason)
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    summary="Is the service ready?",
    operation_id="readyz",
    response_model=HealthRead,
    responses=problems(Unavailable),
)
async def readyz(request: Request) -> Response:
    """Answers 200, or 503 with the reasons why the service cannot work.

    During the start, it gives the step that the start waits for. After that it checks the database,
    its migrations and partitions, the scheduler's heartbeat, failing jobs, and whether requests got
    no database connection.
    """
    reasons = await app_state(request).readiness.reasons()
    if reasons:
        return problem_response(
            503, "not-ready", "Not ready", "; ".join(reasons), headers={"Retry-After": "1"}
        )
    return JSONResponse({"status": "ready"})
