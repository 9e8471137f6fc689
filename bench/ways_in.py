"""Compares the ways to fire a trigger (by key, key, admin, test, hook) with a user's plain call."""

from bench.fire import BODY, TRIGGERS, median
from bench.limits import at_least
from bench.load import Measured, load, post
from tests.faults.site import Site, site
from tests.support.hooks import github, hook_of
from tests.support.keys import make_key
from tests.support.processes import SERVE
from tests.support.services import ADA, ADMIN, token_of
from tests.support.triggers import make_api

CALLERS = 32
MEASURE = "a user's own"
LEAST = {
    "by the trigger's key": 0.9,
    "with an API key": 0.8,
    "an admin's own": 0.8,
    "a test": 0.8,
    "a hook, signed as GitHub does": 0.6,
}


def hook_post(url: str, body: bytes, signed: dict[str, str]) -> bytes:
    plain = post(url, "", body).replace(b"Authorization: Bearer \r\n", b"")
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items()).encode()
    head, _, rest = plain.partition(b"\r\n\r\n")
    return head + b"\r\n" + lines + b"\r\n" + rest


async def requests_of(built: Site) -> dict[str, list[bytes]]:
    """Returns the requests by way in, each with the same number of triggers."""
    url = built.replicas[0].url
    found: dict[str, list[bytes]] = {}
    async with built.client() as ada, built.client(user_id=ADMIN) as admin:
        made = [await make_api(ada, key=f"trigger-{number}") for number in range(TRIGGERS)]
        own, keys = [one["id"] for one in made], [one["key"] for one in made]
        theirs = [(await make_api(admin))["id"] for _ in range(TRIGGERS)]
        key = (await make_key(ada, "triggers:fire"))["key"]
        hooks = [
            hook_of(await make_api(ada, details={"hook": {"verify": "github"}}))
            for _ in range(TRIGGERS)
        ]
    tokens = {who: token_of(who) for who in (ADA, ADMIN)}
    found[MEASURE] = [post(f"{url}/triggers/{one}/trigger", tokens[ADA], BODY) for one in own]
    found["by the trigger's key"] = [
        post(f"{url}/triggers/by-key/{one}/trigger", tokens[ADA], BODY) for one in keys
    ]
    found["with an API key"] = [post(f"{url}/triggers/{one}/trigger", key, BODY) for one in own]
    found["an admin's own"] = [
        post(f"{url}/triggers/{one}/trigger", tokens[ADMIN], BODY) for one in theirs
    ]
    found["a test"] = [post(f"{url}/triggers/{one}/test", tokens[ADA], BODY) for one in own]
    found["a hook, signed as GitHub does"] = [
        hook_post(f"{url}/hooks/{one.token}", BODY, without_id(github(one, BODY))) for one in hooks
    ]
    return found


def without_id(signed: dict[str, str]) -> dict[str, str]:
    """Leaves out the delivery id, so that each call makes an event instead of a replayed answer."""
    return {name: value for name, value in signed.items() if name != "X-GitHub-Delivery"}


async def report_ways_in(*, count: int, rounds: int) -> list[str]:
    measured: dict[str, list[Measured]] = {}
    async with site() as built:
        await built.start(1, *SERVE)
        ways = await requests_of(built)
        for requests in ways.values():
            await load(built.replicas[0].url, requests, callers=8, count=300)  # to warm up
        for _ in range(rounds):
            for name, requests in ways.items():
                one = await load(built.replicas[0].url, requests, callers=CALLERS, count=count)
                measured.setdefault(name, []).append(one)
    medians = {name: median(some) for name, some in measured.items()}
    base = medians[MEASURE].per_second
    lines = [f"ways in, {CALLERS} callers, 1 worker:                  /s    p99 ms    of the first"]
    lines += [
        f"  {name:<36}{one.per_second:>12,.0f}{one.p99:>10.1f}{one.per_second / base:>12.2f}×"
        for name, one in medians.items()
    ]
    lines += [
        at_least(name, medians[name].per_second / base, least, "×") for name, least in LEAST.items()
    ]
    return lines
