"""Compares our calls that store an event with a minimal Flask service on the same PostgreSQL."""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from jose import jwt
from sqlalchemy import make_url

from bench.limits import at_least, at_most
from bench.load import Measured, load, post
from tests.faults.site import Site, site
from tests.support.processes import SERVE
from tests.support.services import SECRET
from tests.support.triggers import make_api

TRIGGERS = 32
CALLERS = (8, 32, 64)
BODY = json.dumps({"order": 42, "note": "x" * 175}).encode()  # 200 bytes
_MAKE_TABLES = (
    "import os, sys; from bench.peers.flask_app import create_tables;"
    " create_tables(os.environ['BENCH_DATABASE_URL'], triggers=int(sys.argv[1]))"
)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def flask(database_url: str, *, processes: int = 2) -> Iterator[str]:
    """Runs the Flask service with `processes` of 16 threads; yields its URL."""
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    shown = url.render_as_string(hide_password=False)
    environment = os.environ | {"BENCH_DATABASE_URL": shown, "BENCH_SECRET": SECRET}
    subprocess.run([sys.executable, "-c", _MAKE_TABLES, str(TRIGGERS)], env=environment, check=True)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "bench.peers.flask_app:create_app()"]
    options = f"--bind 127.0.0.1:{port} --workers {processes} --threads 16 --log-level warning"
    process = subprocess.Popen([*command, *options.split()], env=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def until_it_listens(url: str) -> None:
    while True:
        try:
            port = int(url.rpartition(":")[2])
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


async def requests_to_ours(built: Site) -> list[bytes]:
    served = built.replicas[0]
    async with built.client() as client:
        ids = [(await make_api(client, payload={"from": "trigger"}))["id"] for _ in range(TRIGGERS)]
        token = client.headers["Authorization"].removeprefix("Bearer ")
    return [post(f"{served.url}/triggers/{one}/trigger", token, BODY) for one in ids]


def requests_to_flask(url: str) -> list[bytes]:
    token = jwt.encode({"sub": "1"}, SECRET)
    return [post(f"{url}/triggers/{one}/trigger", token, BODY) for one in range(1, TRIGGERS + 1)]


def median(measured: list[Measured]) -> Measured:
    rates, p50s, p99s = zip(*((one.per_second, one.p50, one.p99) for one in measured), strict=True)
    return Measured(*(statistics.median(each) for each in (rates, p50s, p99s)))


async def measure_fire(built: Site, *, count: int, rounds: int) -> dict[tuple[str, int], Measured]:
    """Returns the medians of interleaved rounds by service and number of callers."""
    found: dict[tuple[str, int], list[Measured]] = {}
    with flask(built.url) as url:
        await until_it_listens(url)
        services = {
            "flask": (url, requests_to_flask(url), count // 4),
            "ours": (built.replicas[0].url, await requests_to_ours(built), count),
        }
        for where, requests, _ in services.values():
            await load(where, requests, callers=8, count=500)  # to warm up
        for _ in range(rounds):
            for number in CALLERS:
                for name, (where, requests, many) in services.items():
                    one = await load(where, requests, callers=number, count=many)
                    found.setdefault((name, number), []).append(one)
    return {key: median(measured) for key, measured in found.items()}


async def report_fire(*, workers: int, count: int, rounds: int) -> list[str]:
    async with site() as built:
        await built.start(1, *SERVE, "--workers", str(workers))
        found = await measure_fire(built, count=count, rounds=rounds)
    lines = [
        f"fire by a call, {workers} worker{'s' * (workers > 1)}, beside Flask's 2 processes:",
        f"{'  callers':<12}{'flask /s':>12}{'p99 ms':>10}{'ours /s':>12}{'p99 ms':>10}"
        f"{'faster':>10}{'p99':>10}",
    ]
    for callers in CALLERS:
        theirs, ours = found["flask", callers], found["ours", callers]
        lines.append(
            f"  {callers:<10}{theirs.per_second:>12,.0f}{theirs.p99:>10.1f}"
            f"{ours.per_second:>12,.0f}{ours.p99:>10.1f}"
            f"{ours.per_second / theirs.per_second:>9.1f}×{ours.p99 / theirs.p99:>9.2f}×"
        )
    theirs, ours = found["flask", 32], found["ours", 32]
    lines.append(at_least("32 callers", ours.per_second / theirs.per_second, 6, "×"))
    lines.append(at_most("p99 of 32 callers", ours.p99 / theirs.p99, 0.33, "×"))
    return lines
