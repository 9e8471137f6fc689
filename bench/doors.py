"""Makes the requests of every door: calls of each kind of caller, hooks, batches, and reads."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.flask_peer import TRIGGERS
from bench.load import get, post
from bench.served import OWNERS
from tests.faults.site import Site
from tests.support.hooks import MadeHook, github, hook_of
from tests.support.keys import make_key
from tests.support.services import ADA, ADMIN, token_of
from tests.support.triggers import make_api

BODY = json.dumps({"order": 42, "note": "x" * 175}).encode()  # 200 bytes
BATCH, LARGEST_BATCH = 200, 1_000  # calls in a request
PLAIN, KEYED, SIGNED = "a user's own", "with an API key", "a hook, signed as GitHub does"
BY_KEY, BATCHED = "by the trigger's key", f"batches of {BATCH}: their events"


@dataclass(frozen=True)
class Door:
    """Makes requests, and says how they compare with one kind of Flask's."""

    requests: Callable[[Site, Sequence[int]], Awaitable[list[bytes]]]  # with the ids of owners
    at_least: float | None = 6  # times as many as Flask's
    beside: str = "fire"
    events: int = 1  # that one request makes
    callers: int | None = None  # where that differs: a user may have two batches at once


async def plain_calls(built: Site, _: Sequence[int] = (), user_id: int = ADA) -> list[bytes]:
    ids = await _make(built, user_id)
    return [post(f"{_triggers(built)}/{one}/trigger", token_of(user_id), BODY) for one in ids]


async def _keyed(built: Site, _: Sequence[int]) -> list[bytes]:
    async with built.client() as client:
        key = (await make_key(client, "triggers:fire"))["key"]
    ids = await _make(built)
    return [post(f"{_triggers(built)}/{one}/trigger", key, BODY) for one in ids]


async def _admins(built: Site, owners: Sequence[int]) -> list[bytes]:
    return await plain_calls(built, owners, user_id=ADMIN)


async def _by_key(built: Site, _: Sequence[int]) -> list[bytes]:
    async with built.client() as client:
        made = [await make_api(client, key=f"trigger-{number}") for number in range(TRIGGERS)]
    url = f"{_triggers(built)}/by-key"
    return [post(f"{url}/{one['key']}/trigger", token_of(ADA), BODY) for one in made]


async def _tests(built: Site, _: Sequence[int]) -> list[bytes]:
    ids = await _make(built)
    return [post(f"{_triggers(built)}/{one}/test", token_of(ADA), BODY) for one in ids]


async def _calls_of_owners(built: Site, owners: Sequence[int]) -> list[bytes]:
    ids = {owner: (await _make(built, owner, count=1))[0] for owner in owners}
    url = _triggers(built)
    return [post(f"{url}/{one}/trigger", token_of(owner), BODY) for owner, one in ids.items()]


async def _signed(built: Site, _: Sequence[int]) -> list[bytes]:
    """Signs without a delivery's id, so that each call makes an event and replays no answer."""
    calls = []
    for hook in await _hooks(built, "github"):
        headers = {n: v for n, v in github(hook, BODY).items() if n != "X-GitHub-Delivery"}
        calls.append(post(_hook_url(built, hook), None, BODY, **headers))
    return calls


async def _with_token(built: Site, _: Sequence[int]) -> list[bytes]:
    hooks = await _hooks(built, "token")
    return [post(_hook_url(built, hook), hook.secret, BODY) for hook in hooks]


async def _batches(built: Site, _: Sequence[int], *, size: int = BATCH) -> list[bytes]:
    ids, payload = await _make(built), BODY.decode()
    calls = [f'{{"trigger":{ids[n % len(ids)]},"payload":{payload}}}' for n in range(size)]
    body = f'{{"calls":[{",".join(calls)}]}}'.encode()
    return [post(f"{_triggers(built)}/trigger-batch", token_of(ADA), body)]


async def _replays(built: Site, _: Sequence[int]) -> list[bytes]:
    url, requests = built.replicas[0].url, []
    async with built.client() as client:
        for one in await _make(built):
            answer = await client.post(f"/triggers/{one}/trigger", json=json.loads(BODY))
            replayed = f"{url}{answer.headers['Location']}/replay"
            requests.append(post(replayed, token_of(ADA), b""))
    return requests


async def _reads(built: Site, _: Sequence[int]) -> list[bytes]:
    ids = await _make(built)
    return [get(f"{_triggers(built)}/{one}", token_of(ADA)) for one in ids]


async def _pages(built: Site, _: Sequence[int]) -> list[bytes]:
    return [get(f"{built.replicas[0].url}/events?limit=50", token_of(ADA))]


DOORS = {
    PLAIN: Door(plain_calls, 8),
    KEYED: Door(_keyed),
    "an admin's own": Door(_admins),
    BY_KEY: Door(_by_key),
    "a test": Door(_tests),
    f"{OWNERS} owners in turn": Door(_calls_of_owners),
    SIGNED: Door(_signed),
    "a hook with a token": Door(_with_token),
    BATCHED: Door(_batches, 20, events=BATCH, callers=2),
    # without a limit: its p99 is the time of a thousand calls, beside that of one of Flask's
    f"batches of {LARGEST_BATCH:,}: their events": Door(
        partial(_batches, size=LARGEST_BATCH), None, events=LARGEST_BATCH, callers=2
    ),
    "a replay": Door(_replays, None),
    "GET of a trigger": Door(_reads, 4, beside="get"),
    "GET of 50 events": Door(_pages, 2, beside="page"),
}


async def _make(built: Site, user_id: int = ADA, *, count: int = TRIGGERS) -> list[int]:
    async with built.client(user_id=user_id) as client:
        return [(await make_api(client))["id"] for _ in range(count)]


async def _hooks(built: Site, verify: str) -> list[MadeHook]:
    async with built.client() as client:
        made = [
            await make_api(client, details={"hook": {"verify": verify}}) for _ in range(TRIGGERS)
        ]
    return [hook_of(one) for one in made]


def _triggers(built: Site) -> str:
    return f"{built.replicas[0].url}/triggers"


def _hook_url(built: Site, hook: MadeHook) -> str:
    return f"{built.replicas[0].url}/hooks/{hook.token}"
