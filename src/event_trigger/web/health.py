"""Whether the process lives, and whether it can do its work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from event_trigger.errors import Unavailable
from event_trigger.web.problems import problem_response, problems
from event_trigger.web.services import service

router = APIRouter(tags=["service"])


@dataclass(frozen=True)
class Readiness:
    """The checks of this process: each gives the reason why it is not ready, or None."""

    checks: tuple[Callable[[], Awaitable[str | None]], ...]

    async def reasons(self) -> list[str]:
        return [reason for check in self.checks if (reason := await check())]


@dataclass(frozen=True)
class Liveness:
    """The check that decides whether this process is worth keeping; it asks nobody."""

    check: Callable[[], str | None]


class Health(BaseModel):
    status: str = Field(examples=["ok"])


@router.get(
    "/healthz",
    summary="Is the process alive?",
    response_model=Health,
    responses=problems(Unavailable),
)
async def healthz(request: Request) -> Response:
    """Answers 200 while the process lives, without asking the database.

    Answers 503 while the embedded PostgreSQL, which is part of the process, has ended.
    """
    if (reason := service(request, Liveness).check()) is not None:
        return problem_response(503, "not-alive", "Not alive", reason)
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    summary="Can it do its work?",
    response_model=Health,
    responses=problems(Unavailable),
)
async def readyz(request: Request) -> Response:
    """Answers 200, or 503 with the reasons: database, migrations, the scheduler's last beat."""
    reasons = await service(request, Readiness).reasons()
    if reasons:
        return problem_response(503, "not-ready", "Not ready", "; ".join(reasons))
    return JSONResponse({"status": "ready"})
