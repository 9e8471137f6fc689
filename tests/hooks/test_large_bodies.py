"""Large bodies are read off the event loop; small ones and other projects do not wait for them."""

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest

from event_trigger.hooks.large_bodies import (
    LARGE_FROM,
    LARGE_MULTIPART_FROM,
    MOST_IN_ALL,
    MOST_OF_A_PROJECT,
    LargeBodies,
    TooManyLargeBodies,
    is_large,
)
from event_trigger.web.dependencies import state_of
from tests.support.hooks import events_of, is_fired, make_hook, request_of
from tests.support.services import Service
from tests.support.waiting import eventually

LARGE = b'{"a": "%s"}' % (b"x" * LARGE_FROM)
MULTIPART = "multipart/form-data; boundary=xyz"
FIRST, SECOND = 901, 902  # ids of projects


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that keeps the thread from reading until it is set."""
    opened = threading.Event()
    yield opened
    opened.set()


async def test_calls_with_small_bodies_do_not_wait_for_large_ones(
    service: Service, ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, gate: threading.Event
) -> None:
    hook = await make_hook(ada, "none")
    reading = state_of(service.app).hook_calls.large_bodies
    first = asyncio.create_task(reading.read(FIRST, gate.wait))
    large = asyncio.create_task(anonymous.post(hook.url, content=LARGE))
    await eventually(lambda: _waiting(reading), lambda waiting: waiting == 2)

    small = await anonymous.post(hook.url, content=b'{"a": "y"}')
    before = [one["a"] for one in await events_of(ada, hook)]
    gate.set()

    assert is_fired(small)
    assert before == ["y"]
    assert is_fired(await large)
    assert await first
    assert [one["a"] for one in await events_of(ada, hook)] == ["y", "x" * LARGE_FROM]


async def _waiting(reading: LargeBodies) -> int:
    return reading.waiting


async def test_all_hooks_of_a_project_share_its_places(
    service: Service,
    ada: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    gate: threading.Event,
) -> None:
    hooks, other = [await make_hook(ada, "none") for _ in range(2)], await make_hook(bob, "none")
    project_id = (await ada.get("/projects")).json()[0]["id"]
    reading = state_of(service.app).hook_calls.large_bodies
    filling = [
        asyncio.create_task(reading.read(project_id, gate.wait)) for _ in range(MOST_OF_A_PROJECT)
    ]
    await asyncio.sleep(0)

    refused = [await anonymous.post(hook.url, content=LARGE) for hook in hooks]
    others = asyncio.create_task(anonymous.post(other.url, content=LARGE))
    await eventually(lambda: _waiting(reading), lambda waiting: waiting > MOST_OF_A_PROJECT)
    gate.set()

    assert [answer.status_code for answer in refused] == [503, 503]
    assert is_fired(await others)
    assert all(await asyncio.gather(*filling))


@pytest.mark.parametrize(
    ("size", "content_types", "is_it"),
    [
        (LARGE_FROM, [], True),
        (LARGE_FROM - 1, [], False),
        (LARGE_FROM - 1, ["application/json"], False),
        (LARGE_MULTIPART_FROM, [MULTIPART], True),
        (LARGE_MULTIPART_FROM, [" Multipart/FORM-DATA;boundary=xyz"], True),
        (LARGE_MULTIPART_FROM, ["text/plain", MULTIPART], True),
        (LARGE_MULTIPART_FROM - 1, [MULTIPART], False),
    ],
)
def test_a_body_is_large_from_a_size_on_and_multipart_from_a_smaller_one(
    size: int, content_types: list[str], is_it: bool
) -> None:
    headers = [("content-type", one) for one in content_types]
    request = request_of(headers, b"x" * size)

    assert is_large(request) == is_it


async def test_multipart_of_a_few_kibibytes_is_read_off_the_loop(
    service: Service, ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, gate: threading.Event
) -> None:
    hook = await make_hook(ada, "none")
    reading = state_of(service.app).hook_calls.large_bodies
    first = asyncio.create_task(reading.read(FIRST, gate.wait))
    files = {"a": (None, "x" * LARGE_MULTIPART_FROM)}

    form = asyncio.create_task(anonymous.post(hook.url, files=files))
    await eventually(lambda: _waiting(reading), lambda waiting: waiting == 2)
    gate.set()

    assert is_fired(await form)
    assert await first
    assert await events_of(ada, hook) == [{"a": "x" * LARGE_MULTIPART_FROM}]


async def test_projects_take_turns() -> None:
    reading, order = LargeBodies(), []

    async def read(project_id: int) -> None:
        order.append(await reading.read(project_id, lambda: project_id))

    await asyncio.gather(*map(read, [FIRST, FIRST, FIRST, SECOND, SECOND]))

    assert order == [FIRST, SECOND, FIRST, SECOND, FIRST]
    assert reading.waiting == 0


async def test_no_more_wait_than_the_memory_holds(gate: threading.Event) -> None:
    reading = LargeBodies()

    def fill(project_id: int, count: int) -> list[asyncio.Task[bool]]:
        return [asyncio.create_task(reading.read(project_id, gate.wait)) for _ in range(count)]

    tasks = fill(FIRST, MOST_OF_A_PROJECT)
    await asyncio.sleep(0)
    with pytest.raises(TooManyLargeBodies):
        await reading.read(FIRST, gate.wait)
    for number in range(2, 2 + MOST_IN_ALL // MOST_OF_A_PROJECT):
        tasks += fill(1000 + number, MOST_OF_A_PROJECT)
    await asyncio.sleep(0)
    tasks, refused = tasks[:MOST_IN_ALL], tasks[MOST_IN_ALL:]
    tasks.pop().cancel()
    await asyncio.sleep(0)
    tasks += fill(SECOND, 1)
    await asyncio.sleep(0)
    gate.set()

    assert await asyncio.gather(*tasks) == [True] * MOST_IN_ALL
    problems = await asyncio.gather(*refused, return_exceptions=True)
    assert {type(one) for one in problems} == {TooManyLargeBodies}
    assert reading.waiting == 0


async def test_a_fault_of_a_body_reaches_its_caller_and_the_next_one_is_read() -> None:
    reading = LargeBodies()

    with pytest.raises(ZeroDivisionError):
        await reading.read(FIRST, lambda: 1 // 0)

    thread = await reading.read(FIRST, threading.current_thread)
    assert thread is not threading.current_thread()
    assert reading.waiting == 0
