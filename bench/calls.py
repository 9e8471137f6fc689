"""Compares every door with a minimal Flask service at its best, and one worker with two.

Ours runs with the default settings, and its log is written to a file. The load generator shares the
cores with both, so its share of them is shown as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from bench.cost import HEADS, Cost, measure
from bench.doors import BATCHED, BODY, BY_KEY, DOORS, KEYED, PLAIN, SIGNED, plain_calls
from bench.flask_peer import Flask, Tuned, best, tune
from bench.gauges import processes_of
from bench.report import Rounds, at_least, at_most, ratio, table
from bench.served import add_owners, copy_of, default_site, end_replicas
from tests.faults.site import Site
from tests.support.processes import SERVE

CALLERS = 32
WARM_UP = 0.5  # seconds
CROWDS, WORKERS = (8, 32, 64), (1, 2)
KINDS = {"fire": "Flask: a call", "get": "Flask: GET of a trigger", "page": "Flask: GET of 50"}
MOST_P99 = 0.33  # of Flask's
MOST_OF_KEYED = 1.3  # so many times a call with a key may a hook's call cost
Peers = Mapping[str, Flask]  # by kind of requests


async def report_calls(*, seconds: float, rounds: int) -> list[str]:
    """Measures for `seconds` each, in turns; ours with a database and a number of workers each."""
    async with default_site() as built:
        owners = await add_owners(built.url)
        ours = {number: await copy_of(built) for number in WORKERS}
        tried = await tune(built.url, BODY, seconds=seconds)
        try:
            for number, one in ours.items():
                await one.start(1, *SERVE, "--workers", str(number))
            async with best(built.url, tried) as peers:
                costs = await measure_doors(ours[1], owners, peers, seconds, rounds)
                crowds = await measure_crowds(ours, peers, seconds, rounds)
        finally:
            await end_replicas([*ours.values()])
    return [*shown_tuning(tried), "", *shown_doors(costs), "", *shown_crowds(crowds)]


async def measure_doors(
    built: Site, owners: Sequence[int], peers: Peers, seconds: float, rounds: int
) -> Rounds[Cost]:
    costs, url = Rounds[Cost](), built.replicas[0].url
    ours = partial(measure, url, partial(processes_of, built))
    made: dict[str, list[bytes]] = {}
    for name, door in DOORS.items():
        requests = await costs.attempt(name, door.requests(built, owners))
        if requests is not None:
            made[name] = requests
            warm_up = ours(requests, callers=door.callers or 8, seconds=WARM_UP)
            await costs.attempt(name, warm_up)
    for _ in range(rounds):
        for kind, peer in peers.items():
            taken = peer.measure(kind, BODY, callers=CALLERS, seconds=seconds)
            await costs.take(KINDS[kind], taken)
        for name, requests in made.items():
            callers, events = DOORS[name].callers or CALLERS, DOORS[name].events
            taken = ours(requests, callers=callers, seconds=seconds, events=events)
            await costs.take(name, taken)
    return costs


async def measure_crowds(
    ours: Mapping[int, Site], peers: Peers, seconds: float, rounds: int
) -> Rounds[Cost]:
    """Measures a user's plain calls with each number of callers and of workers."""
    costs, plain = Rounds[Cost](), {number: await plain_calls(one) for number, one in ours.items()}
    for number, one in ours.items():
        url, processes = one.replicas[0].url, partial(processes_of, one)
        await measure(url, processes, plain[number], callers=8, seconds=WARM_UP)
    for _ in range(rounds):
        for callers in CROWDS:
            if "fire" in peers:
                taken = peers["fire"].measure("fire", BODY, callers=callers, seconds=seconds)
                await costs.take(_crowd(None, callers), taken)
            for number, one in ours.items():
                url, processes = one.replicas[0].url, partial(processes_of, one)
                taken = measure(url, processes, plain[number], callers=callers, seconds=seconds)
                await costs.take(_crowd(number, callers), taken)
    return costs


def shown_tuning(tried: Rounds[Tuned]) -> list[str]:
    rows = {name: [f"{one:,.0f}" for one in rates] for name, rates in tried.medians().items()}
    heads = ("calls /s", "GETs /s", "GETs of 50 /s")
    return table(f"which Flask is fastest, {CALLERS} callers", heads, rows, tried.failed)


def shown_doors(costs: Rounds[Cost]) -> Iterator[str]:
    found = costs.medians()
    base = {name: found.get(KINDS[door.beside]) for name, door in DOORS.items()}
    rows = {name: cost.cells(base.get(name)) for name, cost in found.items()}
    yield from table(f"every door, {CALLERS} callers, 1 worker", HEADS, rows, costs.failed)
    for name, door in DOORS.items():
        if door.at_least:
            faster = ratio(found.get(name), base[name], "per_second")
            slower = ratio(found.get(name), base[name], "p99")
            yield at_least(f"{name}, beside Flask", faster, door.at_least, "×")
            yield at_most(f"{name}, p99 beside Flask's", slower, MOST_P99, "×")
    for name, least in ((BY_KEY, 0.9), (BATCHED, 4)):
        yield at_least(
            f"{name}, beside a plain call",
            ratio(found.get(name), found.get(PLAIN), "per_second"),
            least,
            "×",
        )
    cost = ratio(found.get(KEYED), found.get(SIGNED), "per_second")
    yield at_most("a signed hook's call, of one with a key", cost, MOST_OF_KEYED, "×")


def shown_crowds(costs: Rounds[Cost]) -> Iterator[str]:
    found = costs.medians()
    rows = {
        _crowd(number, callers): found[_crowd(number, callers)].cells(
            found.get(_crowd(None, callers)) if number else None
        )
        for callers in CROWDS
        for number in (None, *WORKERS)
        if _crowd(number, callers) in found
    }
    yield from table(f"{PLAIN} call, by callers and workers", HEADS, rows, costs.failed)
    one, two = (found.get(_crowd(number, CROWDS[-1])) for number in WORKERS)
    gained = ratio(two, one, "per_second")
    yield at_least(f"two workers beside one, {CROWDS[-1]} callers", gained, 1.2, "×")


def _crowd(workers: int | None, callers: int) -> str:
    who = "Flask" if workers is None else f"{workers} worker{'s' * (workers > 1)}"
    return f"{callers} callers, {who}"
