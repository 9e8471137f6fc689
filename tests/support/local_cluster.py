"""Runs a Citus cluster on this machine until it is interrupted: `make cluster`.

A coordinator and two workers, durable, in a temporary folder that goes with them. Each has the
database `event_trigger`; it prints how to reach them.
"""

import asyncio
import signal
import sys

from tests.support.cluster import link, running_cluster
from tests.support.databases import in_database

DATABASE = "event_trigger"  # each node has it from the start


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running_cluster(durable=True) as cluster:
        url = in_database(cluster.url, DATABASE)
        asyncio.run(link(url))
        sys.stdout.write(f"export DATABASE_URL='{url}'\n")
        for node in (cluster.coordinator, *cluster.workers):
            at = in_database(node.url, DATABASE).replace("+asyncpg", "")
            sys.stdout.write(f"psql '{at}'\n")
        sys.stdout.write("Ctrl-C ends it.\n")
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            sys.stdout.write("Ending it.\n")


if __name__ == "__main__":
    main()
