"""The fast path answers plain hook calls exactly as the router does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from event_trigger.hooks.large_bodies import LARGE_FROM
from tests.support.hooks import (
    BODY,
    MadeHook,
    events_of,
    github,
    hook_of,
    is_fired,
    make_hook,
    standard,
)
from tests.support.triggers import read

Sign = Callable[[MadeHook, bytes, str], dict[str, str]]
SIGNERS: dict[str, Sign] = {
    "standard_webhooks": lambda hook, body, name: standard(hook, body, name=name),
    "github": lambda hook, body, name: github(hook, body, name=name),
    "none": lambda _hook, _body, name: {"idempotency-key": name},
}
BODIES = {
    "an object": BODY,
    "nothing": b"",
    "an array": b"[1]",
    "half of it": b'{"n":',
    "a name twice": b'{"n": 1, "n": 2}',
    "against the schema": b'{"n": "x"}',
    "a large object": b'{"n": 1, "a": "%s"}' % (b"x" * LARGE_FROM),
    "half of a large one": b'{"n": 1, "a": "%s' % (b"x" * LARGE_FROM),
}


def shown(answer: httpx.Response) -> tuple[Any, ...]:
    headers = {**answer.headers}
    for varying in ("x-request-id", "location", "event-id"):
        headers[varying] = "" if varying in headers else "none"
    return answer.status_code, answer.content, headers


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    """A body of unknown length, which the fast path leaves to the router."""
    yield body


@pytest.mark.parametrize("verify", SIGNERS)
async def test_every_call_is_answered_alike_in_both_ways(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, verify: str
) -> None:
    schema = {"properties": {"n": {"type": "integer"}}}
    hook = await make_hook(ada, verify, details={"schema": schema})
    sign = SIGNERS[verify]
    unknown = MadeHook(0, hook.url[:-4] + "AAAA", hook.secret)

    async def both(to: MadeHook, body: bytes, headers: dict[str, str]) -> list[tuple[Any, ...]]:
        typed = headers | {"content-type": "application/json"}
        return [
            shown(await anonymous.post(to.url, content=content, headers=typed))
            for content in (body, in_chunks(body))
        ]

    answers = {
        name: await both(hook, body, sign(hook, body, name)) for name, body in BODIES.items()
    }
    answers["unsigned"] = await both(hook, BODY, {})
    answers["wrongly signed"] = await both(hook, BODY, sign(hook, b"{}", "wrong"))
    large = BODIES["a large object"]
    answers["large, wrongly signed"] = await both(hook, large, sign(hook, b"{}", "large"))
    answers["an endless id"] = await both(hook, BODY, sign(hook, BODY, "x" * 256))
    for hops in ("3", "10", "x"):
        signed = sign(hook, BODY, f"after {hops}")
        answers[f"after {hops}"] = await both(hook, BODY, signed | {"x-event-trigger-hops": hops})
    answers["an unknown URL"] = await both(unknown, BODY, sign(hook, BODY, "unknown"))

    replayed = "idempotent-replayed"
    for _, _, headers in (answer for both_ways in answers.values() for answer in both_ways):
        headers.pop(replayed, None)  # the second of the two repeats the first
    assert [name for name, (one, other) in answers.items() if one != other] == []
    statuses = {name: one[0] for name, (one, _) in answers.items()}
    open_to_all = 200 if verify == "none" else 401
    assert statuses == {
        "an object": 200,
        "nothing": 200,
        "an array": 200,
        "half of it": 422,
        "a name twice": 422,
        "against the schema": 422,
        "a large object": 200,
        "half of a large one": 422,
        "large, wrongly signed": open_to_all,
        "unsigned": open_to_all,
        "wrongly signed": open_to_all,
        "an endless id": 422,
        "after 3": 200,
        "after 10": 508,
        "after x": 422,
        "an unknown URL": 404,
    }


async def test_a_paused_hook_is_answered_alike_in_both_ways(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")
    assert (await ada.post(f"/triggers/{hook.trigger_id}/pause")).status_code == 200

    plain, described = [
        shown(await anonymous.post(hook.url, content=content)) for content in (b"", in_chunks(b""))
    ]

    assert plain == described
    assert plain[0] == 202


async def test_calls_of_many_hooks_at_once_each_find_their_own(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hooks = [await make_hook(ada, "github") for _ in range(5)]
    body = b'{"n": %d}'

    async def call(number: int) -> httpx.Response:
        hook, sent = hooks[number % 5], body % number
        url = hook.url if number < 25 else hook.url[:-4] + "AAAA"
        return await anonymous.post(url, content=sent, headers=github(hook, sent, name=str(number)))

    answers = await asyncio.gather(*map(call, range(30)))

    assert list(map(is_fired, answers)) == [True] * 25 + [False] * 5
    assert {answer.status_code for answer in answers[25:]} == {404}
    for place, hook in enumerate(hooks):
        numbers = sorted(payload["n"] for payload in await events_of(ada, hook))
        assert numbers == list(range(place, 25, 5))


async def test_a_replaced_url_is_dead_from_the_next_call_on(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    hook = await make_hook(ada, "none")
    assert is_fired(await anonymous.post(hook.url))

    rotated = await ada.post(f"/triggers/{hook.trigger_id}/hook/rotate")

    assert (await anonymous.post(hook.url)).status_code == 404
    assert is_fired(await anonymous.post(hook_of(rotated.json()).url))
    assert (await read(ada, hook.trigger_id))["fire_count"] == 2
