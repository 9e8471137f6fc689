"""Runs the benchmarks and writes the results to RESULTS.md: `make bench`, `make bench-quick`.

Load, receiver and PostgreSQL (durable) share the same cores, so only ratios compare between
machines. `python -m bench --only storm lateness` runs some and writes nothing; the soak runs only
when it is named.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvloop

from bench.batches import report_actions, report_batches
from bench.deliveries import report_deliveries
from bench.fire import report_fire
from bench.growth import report_growth
from bench.lateness import report_lateness
from bench.lists import report_lists
from bench.purge import report_purge
from bench.reading import report_reading
from bench.replicas import report_replicas
from bench.soak import report_soak
from bench.startup import report_startup
from bench.storm_peers import report_storm
from bench.ways_in import report_ways_in
from event_trigger.config import LogLevel
from event_trigger.logs import configure_logs

RESULTS = Path(__file__).with_name("RESULTS.md")
Report = Callable[[], Awaitable[list[str]]]
FULL: dict[str, Report] = {
    "fire": partial(report_fire, workers=1, count=12_000, rounds=3),
    "fire-2": partial(report_fire, workers=2, count=12_000, rounds=3),
    "ways-in": partial(report_ways_in, count=6_000, rounds=3),
    "batches": partial(report_batches, count=12_000, rounds=3),
    "actions": partial(report_actions, count=10_000),
    "storm": partial(report_storm, count=100_000, rounds=5),
    "lateness": partial(report_lateness, seconds=20, idle=(100_000, 1_000_000)),
    "startup": partial(report_startup, triggers=1_000_000, rounds=3),
    "deliveries": partial(report_deliveries, count=10_000, posts=4_000, rounds=3),
    "reading": partial(report_reading, events=10_000_000, count=200),
    "lists": partial(report_lists, triggers=1_000_000, events=10_000_000, count=200),
    "purge": partial(report_purge, count=1_000_000, triggers=10_000),
    "growth": report_growth,
    "replicas": partial(report_replicas, count=12_000, storm=100_000),
    "soak": report_soak,
}
QUICK: dict[str, Report] = {
    "fire": partial(report_fire, workers=1, count=1_200, rounds=1),
    "fire-2": partial(report_fire, workers=2, count=1_200, rounds=1),
    "ways-in": partial(report_ways_in, count=600, rounds=1),
    "batches": partial(report_batches, count=2_000, rounds=1),
    "actions": partial(report_actions, count=1_000),
    "storm": partial(report_storm, count=10_000, rounds=1, quick=True),
    "lateness": partial(report_lateness, seconds=5, idle=(100_000,), quick=True),
    "startup": partial(report_startup, triggers=100_000, rounds=1),
    "deliveries": partial(report_deliveries, count=3_000, posts=1_000, rounds=1),
    "reading": partial(report_reading, events=50_000, count=5),
    "lists": partial(report_lists, triggers=5_000, events=50_000, count=5),
    "purge": partial(report_purge, count=100_000, triggers=1_000, seconds=10),
    "growth": partial(report_growth, triggers=(10_000, 50_000), events=0, calls=2_000, due=5_000),
    "replicas": partial(report_replicas, count=3_000, storm=20_000),
    "soak": partial(report_soak, seconds=60),
}
ONLY_IF_NAMED = {"soak"}
ONLY_IF_NAMED_QUICK = {"growth", "replicas", "soak"}


def facts() -> list[str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return [f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {machine}"]


async def main(reports: dict[str, Report], results: Path | None) -> int:
    """Prints each report when it is done, continues after a failure, and returns the exit code."""
    done, failed = [facts()], 0
    print(*done[0], sep="\n", flush=True)
    for name, report in reports.items():
        began = time.monotonic()
        try:
            lines = await report()
        except Exception as error:
            traceback.print_exc()
            lines = [f"{name} FAILED: {error!r}"]
            failed = 1
        print("", *lines, f"  ({name}: {time.monotonic() - began:.0f} s)", sep="\n", flush=True)
        done.append(lines)
    if results is not None:
        keep(results, done)
    return failed


def keep(results: Path, done: Iterable[list[str]]) -> None:
    text = "\n\n".join("\n".join(lines) for lines in done)
    results.write_text(
        "# Results\n\nOnly ratios compare between machines: see `__main__.py`.\n\n"
        f"```\n{text}\n```\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="smaller runs; writes no results")
    parser.add_argument("--only", nargs="+", choices=FULL, help="only these; writes no results")
    arguments = parser.parse_args()
    known = QUICK if arguments.quick else FULL
    left_out = ONLY_IF_NAMED_QUICK if arguments.quick else ONLY_IF_NAMED
    configure_logs(None, LogLevel.WARNING)
    chosen = arguments.only or [name for name in known if name not in left_out]
    results = None if arguments.quick or arguments.only else RESULTS
    sys.exit(uvloop.run(main({name: known[name] for name in chosen}, results)))
