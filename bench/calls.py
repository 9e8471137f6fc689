"""Compares every door with a minimal Flask service at its best, and one worker with two.

Ours runs with the default settings, and its log is written to a file. The load generator shares the
cores with both, so its share of them is shown as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from bench.cost import HEADS, Beside, Cost, measure
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


class Compared(NamedTuple):
    """The costs by name, and how those of each pair compare."""

    costs: Rounds[Cost]
    pairs: Rounds[Beside]


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
) -> Compared:
    """Measures each door with Flask right before it; the ratios are those of the pairs.

    What else goes on, such as a checkpoint of what another door has written, disturbs both of them,
    or one pair of several.
    """
    costs, pairs = Rounds[Cost](), Rounds[Beside]()
    ours = partial(measure, built.replicas[0].url, partial(processes_of, built))
    made: dict[str, list[bytes]] = {}
    for name, door in DOORS.items():
        requests = await costs.attempt(name, door.requests(built, owners))
        if requests is not None:
            made[name] = requests
            warm_up = ours(requests, callers=door.callers or 8, seconds=WARM_UP)
            await costs.attempt(name, warm_up)
    for _ in range(rounds):
        for name, requests in made.items():
            door = DOORS[name]
            base = await _measure_peer(costs, peers, door.beside, CALLERS, seconds)
            taken = ours(
                requests, callers=door.callers or CALLERS, seconds=seconds, events=door.events
            )
            _add(costs, pairs, name, await costs.attempt(name, taken), base)
    return Compared(costs, pairs)


async def measure_crowds(
    ours: Mapping[int, Site], peers: Peers, seconds: float, rounds: int
) -> Compared:
    """Measures a user's plain calls with each number of callers and of workers, beside Flask."""
    costs, pairs = Rounds[Cost](), Rounds[Beside]()
    plain = {number: await plain_calls(one) for number, one in ours.items()}
    for number, one in ours.items():
        url, processes = one.replicas[0].url, partial(processes_of, one)
        await measure(url, processes, plain[number], callers=8, seconds=WARM_UP)
    for _ in range(rounds):
        for callers in CROWDS:
            base = await _measure_peer(
                costs, peers, "fire", callers, seconds, name=_crowd(0, callers)
            )
            found = dict[int, Cost | None]()
            for number, one in ours.items():
                url, processes, name = (
                    one.replicas[0].url,
                    partial(processes_of, one),
                    _crowd(number, callers),
                )
                taken = measure(url, processes, plain[number], callers=callers, seconds=seconds)
                found[number] = await costs.attempt(name, taken)
                _add(costs, pairs, name, found[number], base)
            _add(None, pairs, _gain(callers), found.get(WORKERS[1]), found.get(WORKERS[0]))
    return Compared(costs, pairs)


async def _measure_peer(
    costs: Rounds[Cost], peers: Peers, kind: str, callers: int, seconds: float, *, name: str = ""
) -> Cost | None:
    if kind not in peers:
        return None
    name = name or KINDS[kind]
    await costs.attempt(name, peers[kind].measure(kind, BODY, callers=callers, seconds=WARM_UP))
    taken = peers[kind].measure(kind, BODY, callers=callers, seconds=seconds)
    found = await costs.attempt(name, taken)
    costs.add(name, found)
    return found


def _add(
    costs: Rounds[Cost] | None,
    pairs: Rounds[Beside],
    name: str,
    found: Cost | None,
    base: Cost | None,
) -> None:
    if costs is not None:
        costs.add(name, found)
    if found is not None and base is not None:
        pairs.add(name, found.beside(base))


def shown_tuning(tried: Rounds[Tuned]) -> list[str]:
    rows = {name: [f"{one:,.0f}" for one in rates] for name, rates in tried.medians().items()}
    heads = ("calls /s", "GETs /s", "GETs of 50 /s")
    return table(f"which Flask is fastest, {CALLERS} callers", heads, rows, tried.failed)


def shown_doors(compared: Compared) -> Iterator[str]:
    found, pairs = compared.costs.medians(), compared.pairs.medians()
    order = [*KINDS.values(), *DOORS]
    rows = {name: found[name].cells(pairs.get(name)) for name in order if name in found}
    title = f"every door, {CALLERS} callers, 1 worker"
    yield from table(title, HEADS, rows, compared.costs.failed)
    for name, door in DOORS.items():
        if door.at_least:
            beside = pairs.get(name)
            yield at_least(f"{name}, beside Flask", beside and beside.faster, door.at_least, "×")
            yield at_most(f"{name}, p99 beside Flask's", beside and beside.slower, MOST_P99, "×")
    for name, least in ((BY_KEY, 0.9), (BATCHED, 4)):
        yield at_least(
            f"{name}, beside a plain call",
            ratio(found.get(name), found.get(PLAIN), "per_second"),
            least,
            "×",
        )
    cost = ratio(found.get(KEYED), found.get(SIGNED), "per_second")
    yield at_most("a signed hook's call, of one with a key", cost, MOST_OF_KEYED, "×")


def shown_crowds(compared: Compared) -> Iterator[str]:
    found, pairs = compared.costs.medians(), compared.pairs.medians()
    names = [_crowd(number, callers) for callers in CROWDS for number in (0, *WORKERS)]
    rows = {name: found[name].cells(pairs.get(name)) for name in names if name in found}
    title = f"{PLAIN} call, by callers and workers"
    yield from table(title, HEADS, rows, compared.costs.failed)
    callers = CROWDS[-1]
    gained = pairs.get(_gain(callers))
    yield at_least(_gain(callers), gained and gained.faster, 1.2, "×")


def _crowd(workers: int, callers: int) -> str:
    who = f"{workers} worker{'s' * (workers > 1)}" if workers else "Flask"
    return f"{callers} callers, {who}"


def _gain(callers: int) -> str:
    return f"two workers beside one, {callers} callers"
