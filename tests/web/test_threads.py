"""No dependency runs in a thread: the hand-over would cost more than the dependency."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from tests.support.document import make_app


def callables_of(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for inner in dependant.dependencies:
        yield from callables_of(inner)


def is_called_on_the_loop(called: Callable[..., Any]) -> bool:
    of_an_instance = getattr(called, "__call__", None)  # noqa: B004 - such as a security scheme
    return any(
        inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one)
        for one in (called, of_an_instance)
    )


def test_every_dependency_of_every_operation_is_called_on_the_loop() -> None:
    found = {
        called
        for route in iter_route_contexts(make_app().routes)
        if (dependant := getattr(route, "dependant", None)) is not None
        for called in callables_of(dependant)
    }

    assert len(found) > 60
    assert [called for called in found if not is_called_on_the_loop(called)] == []
