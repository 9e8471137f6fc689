"""Whether the process lives, and whether it can do its work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from event_trigger.errors import Unavailable
from event_trigger.web.problems import problem_response, problems
from event_trigger.web.state import app_state

router = APIRouter(tags=["service"])
Check = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class Readiness:
    """The checks of this process: each gives the reason why it is not ready, or None.

    For as long as it has not `started`, that is the only reason.
    """

    started: Check
    checks: tuple[Check, ...]

    async def reasons(self) -> list[str]:
        if (reason := await self.started()) is not None:
            return [reason]
        found = [reason for check in self.checks if (reason := await check())]
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Liveness:
    """The check that decides whether this process is worth keeping; it asks nobody."""

    check: Callable[[], str | None]


class HealthRead(BaseModel):
    status: str = Field(examples=["ok"])


@router.get(
    "/healthz",
    summary="Is the process alive?",
    response_model=HealthRead,
    responses=problems(Unavailable),
)
async def healthz(request: Request) -> Response:
    """Answers 200 while the process lives, without asking the database.

    Answers 503 while the embedded PostgreSQL, which is part of the process, has ended.
    """
    if (reason := app_state(request).liveness.check()) is not None:
        return problem_response(503, "not-alive", "Not alive", reason)
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    summary="Can it do its work?",
    response_model=HealthRead,
    responses=problems(Unavailable),
)
async def readyz(request: Request) -> Response:
    """Answers 200, or 503 with the reasons: what the start waits for; database, migrations,
    partitions, the scheduler's last beat, jobs that fail, connections that are not free."""
    reasons = await app_state(request).readiness.reasons()
    if reasons:
        return problem_response(
            503, "not-ready", "Not ready", "; ".join(reasons), headers={"Retry-After": "1"}
        )
    return JSONResponse({"status": "ready"})
