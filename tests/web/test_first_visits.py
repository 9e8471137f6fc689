"""A process builds once what its applications share, and nothing at a visit on the loop."""

import sys
from types import FrameType

import httpx
import pytest

from tests.support.document import make_app

PATHS = ["/healthz", "/openapi.json", "/api/docs", "/nowhere"]


class Calls:
    """Counts calls of Python functions: a measure of work that does not depend on the machine."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Calls":
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, _frame: FrameType, event: str, _: object) -> None:
        self.count += event == "call"


async def calls_of_visit(client: httpx.AsyncClient, path: str) -> int:
    with Calls() as calls:
        await client.get(path)
    return calls.count


@pytest.mark.parametrize("path", PATHS)
async def test_a_first_visit_is_hardly_more_work_than_the_second(path: str) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app()), base_url="http://service.test"
    ) as elsewhere:
        await elsewhere.get(path)  # what libraries build in a process, whatever they serve
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app()), base_url="http://service.test"
    ) as client:
        first = await calls_of_visit(client, path)
        second = await calls_of_visit(client, path)

    assert first < second + 500


async def test_a_second_application_of_a_process_builds_no_routes() -> None:
    make_app()
    with Calls() as calls:
        make_app()

    assert calls.count < 20_000
