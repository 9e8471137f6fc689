"""Runs the benchmarks and writes the results to RESULTS.md: `make bench`, `make bench-quick`.

Load, receiver and PostgreSQL (durable) share the same cores, so only ratios compare between
machines. `python -m bench --only storm lateness` runs some and writes nothing; the soak and the
cluster run only when they are named.

Each module with a `report_…` measures one thing and prints its limits. `served` runs ours with the
default settings, `flask_peer` and `peer` run the others, `planned` and `large_log` fill databases,
`load` calls, `gauges` and `cost` read memory and CPU time, and `report` takes medians, keeps the
reasons of failures, and prints tables.
"""

import argparse
import asyncio
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

from bench.actions import report_actions
from bench.calls import report_calls
from bench.cluster import report_cluster
from bench.console import report_console
from bench.deliveries import report_deliveries
from bench.growth import report_growth
from bench.heartbeats import report_heartbeats
from bench.lateness import report_lateness
from bench.planning import report_planning
from bench.purge import report_purge
from bench.reading import report_reading
from bench.soak import report_soak
from bench.storm_kinds import report_storm_kinds
from bench.storm_peers import report_large_storm, report_storm
from event_trigger.config import LogLevel
from event_trigger.logs import configure_logs

RESULTS = Path(__file__).with_name("RESULTS.md")
Report = Callable[[], Awaitable[list[str]]]
FULL: dict[str, Report] = {
    "calls": partial(report_calls, seconds=1.5, rounds=5),
    "actions": partial(report_actions, count=10_000),
    "planning": partial(report_planning, count=1_000),
    "storm": partial(report_storm, count=30_000, rounds=3),
    "storm-kinds": partial(report_storm_kinds, count=20_000, rounds=2),
    "large-storm": partial(report_large_storm, count=1_000_000),
    "heartbeats": partial(report_heartbeats, count=25_000, seconds=2),
    "lateness": partial(
        report_lateness, seconds=10, idle={100_000: (50,), 1_000_000: (50, 500, 2_000)}
    ),
    "deliveries": partial(report_deliveries, count=6_000, seconds=1.5, rounds=3),
    "growth": report_growth,
    "purge": partial(report_purge, count=1_000_000, triggers=10_000),
    "reading": partial(
        report_reading, triggers=1_000_000, events=10_000_000, seconds=0.8, scrapes_apart=6
    ),
    "console": partial(
        report_console, triggers=10_000, events=1_000_000, rounds=5, per_second=1_000, seconds=60
    ),
    "cluster": partial(report_cluster, calls_for=10, storm=64_000, outage=20),
    "soak": report_soak,
}
QUICK: dict[str, Report] = {
    "calls": partial(report_calls, seconds=0.7, rounds=1),
    "actions": partial(report_actions, count=1_000),
    "planning": partial(report_planning, count=1_000),
    "storm": partial(report_storm, count=10_000, rounds=1, quick=True),
    "storm-kinds": partial(report_storm_kinds, count=5_000, rounds=1),
    "large-storm": partial(report_large_storm, count=50_000),
    "heartbeats": partial(report_heartbeats, count=2_000, seconds=0.7),
    "lateness": partial(report_lateness, seconds=5, idle={100_000: (50, 500)}, quick=True),
    "deliveries": partial(report_deliveries, count=3_000, seconds=0.5, rounds=1),
    "growth": partial(report_growth, triggers=(10_000, 50_000), events=0, seconds=1),
    "purge": partial(report_purge, count=100_000, triggers=1_000, seconds=10),
    "reading": partial(
        report_reading, triggers=5_000, events=50_000, seconds=0.05, scrapes_apart=0
    ),
    "console": partial(
        report_console, triggers=1_000, events=10_000, rounds=1, per_second=1_000, seconds=10
    ),
    "cluster": partial(report_cluster, calls_for=2, storm=6_400, outage=12),
    "soak": partial(report_soak, seconds=60),
}
ONLY_IF_NAMED = {"cluster", "soak"}
ONLY_IF_NAMED_QUICK = {"cluster", "growth", "soak"}
WITHIN = 1_200  # seconds for one report; within it, a measurement that fails costs its row only


def facts() -> list[str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return [f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {machine}"]


async def main(reports: dict[str, Report], results: Path | None) -> int:
    """Prints and keeps each report when it is done, also after a failure; returns the exit code."""
    done, failed = [facts()], 0
    print(*done[0], sep="\n", flush=True)
    for name, report in reports.items():
        began = time.monotonic()
        try:
            async with asyncio.timeout(WITHIN):
                lines = await report()
        except Exception as error:
            traceback.print_exc()
            lines = [f"{name} FAILED: {error!r}"]
            failed = 1
        lines.append(f"  ({name}: {time.monotonic() - began:.0f} s)")
        print("", *lines, sep="\n", flush=True)
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
