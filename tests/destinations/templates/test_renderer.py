"""Templates are rendered apart from the service, in processes that end and are replaced."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import psutil
import pytest

from event_trigger.destinations.templates.child import TOO_SLOW
from event_trigger.destinations.templates.jobs import (
    Accepted,
    CheckJob,
    NotRendered,
    Rendered,
    RenderJob,
    TemplateFailed,
)
from event_trigger.destinations.templates.language import template_language
from event_trigger.destinations.templates.renderer import Renderer
from event_trigger.destinations.templates.rendering import render
from event_trigger.destinations.templates.turns import Turns, Waiting
from tests.support.rendering import SLOW, rendering_processes
from tests.support.waiting import eventually

URL = "https://example.com/hook"


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    renderer = Renderer()
    yield renderer
    await renderer.aclose()


def job(template: str, payload: str | None = None) -> RenderJob:
    event = {"id": 1, "type": "api"}
    return RenderJob(template, URL, "text/plain", event, payload, owner_id=1)


async def test_a_batch_is_rendered_in_its_order(renderer: Renderer) -> None:
    jobs = [job("{{ data.n }} {{ event.id }}", f'{{"n": {n}}}') for n in range(100)]

    outcomes = await renderer.render_all([*jobs, job("{{ data.x }}", "{}")])

    assert outcomes[:100] == [Rendered(URL, f"{n} 1".encode()) for n in range(100)]
    assert isinstance(outcomes[100], TemplateFailed)
    assert await renderer.render_all([]) == []
    assert (
        await renderer.check(CheckJob("{{ data.x }}", URL, "text/plain", owner_id=1)) == Accepted()
    )
    assert isinstance(
        await renderer.check(CheckJob("{{", URL, "text/plain", owner_id=1)), TemplateFailed
    )
    [large] = await renderer.render_all([job("{{ data }}", f'"{"x" * 1_000_000}"')])
    assert large == Rendered(URL, b"x" * 1_000_000)


async def test_no_more_bodies_are_rendered_than_a_caller_has_room_for(renderer: Renderer) -> None:
    large = "{% for n in (1..1000) %}{{ data }}{% endfor %}"
    jobs = [job(large, f'"{"x" * 1000}"')] * 64

    outcomes = await renderer.render_all(jobs, most_bytes=3_500_000)
    all_outcomes = await renderer.render_all(jobs[:8])

    rendered = Rendered(URL, b"x" * 1_000_000)
    assert outcomes == [rendered] * 3 + [NotRendered()] * 61
    assert all_outcomes == [rendered] * 8


async def test_good_templates_start_the_process_for_their_deliveries(renderer: Renderer) -> None:
    async def count() -> int:
        return len(rendering_processes())

    refused = await renderer.check(CheckJob("{{", URL, "text/plain", owner_id=1))
    assert isinstance(refused, TemplateFailed)
    assert await count() == 1

    accepted = await renderer.check(CheckJob("{{ data }}", URL, "text/plain", owner_id=1))

    assert accepted == Accepted()
    await eventually(count, lambda found: found == 2)


async def test_slow_templates_do_not_hold_up_others(renderer: Renderer) -> None:
    slow_jobs = [job(SLOW)] * 30 + [job(f"{n} {SLOW}") for n in range(30)]
    assert await renderer.render_all([slow_jobs[0]]) == [TOO_SLOW]
    slow = asyncio.create_task(renderer.render_all(slow_jobs, within=600))

    [quick] = await renderer.render_all([replace(job("quick"), owner_id=2)])
    asked = await renderer.try_out(job("asked"))

    assert (quick, asked) == (Rendered(URL, b"quick"), Rendered(URL, b"asked"))
    assert not slow.done()
    assert len(rendering_processes()) == 2
    slow.cancel()


def waiting_for(turns: Turns, owner_id: int, template: str, *, count: int) -> list[Waiting]:
    loop = asyncio.get_running_loop()
    made = [
        Waiting(replace(job(template, payload=str(n)), owner_id=owner_id), loop.create_future())
        for n in range(count)
    ]
    for one in made:
        turns.add(one)
    return made


def shown(batch: list[Waiting]) -> str:
    return "".join(one.job.template or "" for one in batch)


async def test_owners_take_turns_and_share_batches_among_their_templates() -> None:
    turns = Turns()
    for owner_id, template, count in ((1, "a", 160), (1, "b", 40), (2, "c", 160)):
        waiting_for(turns, owner_id, template, count=count)

    batches = [shown(turns.take_batch()) for _ in range(5)]

    assert batches == ["ab" * 40 + "a" * 48, "c" * 128, "a" * 72, "c" * 32, ""]
    assert not turns


async def test_plain_urls_make_no_other_template() -> None:
    turns, loop = Turns(), asyncio.get_running_loop()
    urls = [*(f"{URL}/{n}" for n in range(3)), f"{URL}/{{{{ data }}}}"]
    for one in urls:
        turns.add(Waiting(replace(job("a"), url=one), loop.create_future()))
    [first, *_] = batch = turns.take_batch()

    turns.put_back(batch, of=batch)

    assert first.job.url == urls[0]
    assert [len(turns.take_batch()) for _ in range(2)] == [3, 1]


async def test_those_given_up_are_left_out_and_a_suspect_is_alone() -> None:
    turns = Turns()
    some = waiting_for(turns, 1, "a", count=6)
    some[1].settle(NotRendered())
    some[3].is_suspect = True

    batches = [turns.take_batch() for _ in range(3)]

    assert batches == [[some[0], some[2]], [some[3]], [some[4], some[5]]]
    turns.put_back(batches[0], of=batches[0])
    assert turns.take_batch() == batches[0]


async def test_after_a_batch_that_took_too_long_its_templates_have_turns_of_their_own() -> None:
    turns = Turns()
    for template in "abc":
        waiting_for(turns, 1, template, count=3)
    first = turns.take_batch()[:2]
    for template in "abc":
        waiting_for(turns, 1, template, count=3)

    turns.put_back(first[1:], of=first)

    assert [shown(turns.take_batch()) for _ in range(4)] == ["bbbb", "aaa", "ccc", ""]


async def test_an_owner_whose_jobs_were_given_up_keeps_its_place() -> None:
    turns, loop = Turns(), asyncio.get_running_loop()

    def add(owner_id: int, template: str) -> Waiting:
        one = Waiting(replace(job(template), owner_id=owner_id), loop.create_future())
        turns.add(one)
        return one

    for owner_id, template in ((1, "a"), (2, "b"), (3, "c"), (4, "d")):
        add(owner_id, template)
    first = add(5, "e")
    for given_up in (first, add(5, "f")):
        given_up.settle(NotRendered())

    add(6, "g")
    add(5, "f")

    owners = [batch[0].owner_id for _ in range(6) if (batch := turns.take_batch())]
    assert owners == [1, 2, 3, 4, 5, 6]


async def test_a_process_that_is_killed_is_replaced(renderer: Renderer) -> None:
    await renderer.render_all([job("1")])
    [first] = rendering_processes()

    first.send_signal(signal.SIGSTOP)
    waiting = asyncio.create_task(
        renderer.render_all([job("{{ data }}", "2"), job("{{ data }}", "3")])
    )
    await asyncio.sleep(0.1)  # so that it has the jobs
    first.kill()

    assert await waiting == [Rendered(URL, b"2"), Rendered(URL, b"3")]
    [second] = rendering_processes()
    assert second.pid != first.pid


async def test_a_process_opens_no_files_and_renders_as_one_that_does(renderer: Renderer) -> None:
    values = ["1", "[1, 2]", '"a"', '"2026-11-29T09:00:00Z"', '{"a": 1}']
    filters = [*template_language().filters, "date: '%c %x %X %Z', 'Asia/Tokyo'"]
    jobs = [
        job(f"{{{{ data | {name}{arguments} }}}}", value)
        for name in filters
        for arguments in ("", ": 1", ": 'a', 'b'")
        for value in values
    ]

    outcomes = await renderer.render_all(jobs, within=600)

    assert outcomes == [render(one) for one in jobs]
    [process] = rendering_processes()
    assert process.num_fds() == 3
    if sys.platform == "linux":
        assert process.rlimit(psutil.RLIMIT_NOFILE) == (3, 3)


async def test_a_process_gets_no_environment_and_ends_with_the_renderer(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENT_TRIGGER_JWT_SECRET", "a secret of thirty-two characters")
    await renderer.render_all([job("1")])
    [process] = rendering_processes()
    environment = process.environ()

    await renderer.aclose()

    assert {*environment} == {"PYTHONPATH", "PYTHONUTF8", "TZ"}
    assert not rendering_processes()
    assert await renderer.render_all([job("1")], within=0.1) == [NotRendered()]


_RENDER_ON = f"""
import asyncio
from event_trigger.destinations.templates.jobs import RenderJob
from event_trigger.destinations.templates.renderer import Renderer

async def main():
    renderer, quick, slow = Renderer(), *(
        RenderJob(text, "{URL}", "text/plain", {{"type": "api"}}, None, 1)
        for text in ("x", {SLOW!r})
    )
    print(await renderer.render_all([quick]), flush=True)
    await renderer.render_all([slow] * 1000, within=600)

asyncio.run(main())
"""


async def test_a_process_ends_with_its_service() -> None:
    service = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", _RENDER_ON], stdout=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    assert "Rendered" in await asyncio.to_thread(service.stdout.readline)
    [process] = rendering_processes(service.pid)

    service.kill()
    await asyncio.to_thread(service.communicate)

    async def has_ended() -> bool:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

    await eventually(has_ended, bool)
