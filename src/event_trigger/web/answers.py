"""Lets a dependency give an operation's answer, or store the answer before the commit.

The transaction of a request is committed after its response is made, and before it is sent.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi import Request, Response
from pydantic import BaseModel
from typing_extensions import TypeAliasType

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
