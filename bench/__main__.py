"""Measures, prints, and keeps what was measured in RESULTS.md: `make bench`, `make bench-quick`.

Load, receiver and PostgreSQL (durable) are on the same cores, so only the ratios carry over.
"""

import argparse
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from bench.deliveries import report_deliveries
from bench.fire import report_fire
from bench.storm import report_storm

RESULTS = Path(__file__).with_name("RESULTS.md")


def facts() -> list[str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return [f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {machine}"]


async def main(*, quick: bool) -> None:
    count, rounds, storm = (4_000, 1, 30_000) if quick else (12_000, 3, 100_000)
    reports = [
        facts(),
        await report_fire(workers=1, count=count, rounds=rounds),
        await report_fire(workers=2, count=count, rounds=rounds),
        await report_storm(count=storm),
        await report_deliveries(),
    ]
    text = "\n\n".join("\n".join(lines) for lines in reports)
    print(text)
    if not quick:
        RESULTS.write_text(
            f"# Results\n\nOnly the ratios carry over: see `__main__.py`.\n\n```\n{text}\n```\n"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="less of everything, nothing kept")
    uvloop.run(main(quick=parser.parse_args().quick))
