"""Answers: those that a dependency gives or keeps, and those that are sent as one piece.

The transaction of a request is committed after its response is made, and before it is sent, so that
a dependency can store the answer before the commit. The head and the body of an answer in one piece
take one system call and one packet: two cost a call that fires a twelfth of its time, and its
caller a second wake-up.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Scope, Send
from typing_extensions import TypeAliasType

from event_trigger.tracing import TRACING
from event_trigger.web.schemas import NOT_KEPT

Keeper = Callable[["Answer", Collection[str]], Awaitable[None]]
_NOT_REPEATED = frozenset({"content-length"})  # it is that of the body as it was sent


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, its headers without Content-Length, and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Answered(Exception):
    """Ends a request with an answer that a dependency has."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def keep_answer(request: Request, keeper: Keeper) -> None:
    """Calls `keeper` with the answer and the names of its secrets, in the request's transaction.

    It is called for answers of an operation, and not for problems.
    """
    request.state.keeper = keeper


async def answer_of(
    operation: Callable[[Request], Awaitable[Response]], request: Request, model: Any
) -> Response:
    """Runs an operation whose answers are of this model, unless a dependency has the answer."""
    try:
        response = await operation(request)
        keeper: Keeper | None = getattr(request.state, "keeper", None)
        if keeper is not None:
            headers = {k: v for k, v in response.headers.items() if k not in _NOT_REPEATED}
            answer = Answer(response.status_code, headers, bytes(response.body))
            await keeper(answer, _secrets_of(model))
    except Answered as known:
        answer = known.answer
        return Response(answer.body, answer.status, dict(answer.headers))
    return response


def _secrets_of(model: Any) -> Collection[str]:
    """Returns the fields of a model, or of any part of a union, that must not be kept."""
    if isinstance(model, TypeAliasType):
        return _secrets_of(model.__value__)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return {name for name, field in model.model_fields.items() if NOT_KEPT in field.metadata}
    is_union = get_origin(model) in {Annotated, Union, UnionType}
    return {name for one in get_args(model) for name in _secrets_of(one)} if is_union else ()


WHOLE_ANSWER = "event_trigger.whole_answer"  # of the scope's `extensions`: has a `write`
Headers = Sequence[tuple[bytes, bytes]]
# writes the status, the headers and the body; returns False if it cannot do so now
WriteWhole = Callable[[int, Headers, bytes], bool]


class ReadyAnswer(Response):
    """A 200 whose headers are bytes with lower-case names, its length and its type among them.

    Starlette's own response encodes and sorts out the headers of each answer.
    """

    def __init__(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code, self.background = HTTPStatus.OK.value, None
        self.body, self.raw_headers = body, headers


async def send_whole(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Sends an answer whose headers have its length, unless it has none.

    Where requests are traced it takes two pieces, by which FastAPI learns the status.
    """
    offered = scope.get("extensions", {}).get(WHOLE_ANSWER, {})
    write: WriteWhole | None = offered.get("write")
    if write is not None and TRACING.tracer is None and write(status, headers, body):
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
