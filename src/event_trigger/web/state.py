"""What the application made at start and its requests use: one of each type, found by its type."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request

T = TypeVar("T")


class Services:
    """A typed shelf: `get(Settings)` is the one Settings that was put there."""

    def __init__(self, *values: object) -> None:
        self._values: dict[type, object] = {type(value): value for value in values}

    def get(self, kind: type[T]) -> T:
        value = self._values[kind]
        assert isinstance(value, kind)
        return value


def service(request: Request, kind: type[T]) -> T:
    services: Services = request.app.state.services
    return services.get(kind)


def on_the_loop(kind: Callable[..., T]) -> Callable[..., Awaitable[T]]:
    """A class as a dependency: FastAPI calls what is no coroutine function in a thread.

    That takes longer than all the rest of a small request.
    """

    async def make(**parts: object) -> T:
        return kind(**parts)

    make.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]
    return make
