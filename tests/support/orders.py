"""Fires one event for each order, and writes down those that are done; it may be killed anywhere.

Run as a program: the address, the token, the file, and the number of orders.
"""

import sys
from pathlib import Path

from event_trigger_client import Client


def fire_all(url: str, token: str, done: Path, count: int) -> None:
    """Goes on after the last order that is done; the order's own number makes it one event."""
    with done.open("a+") as journal, Client(url, token=token, timeout=5, retries=20) as events:
        journal.seek(0)
        for number in range(len(journal.readlines()), count):
            events.fire("order", {"n": number}, idempotency_key=f"order-{number}")
            journal.write(f"{number}\n")
            journal.flush()


if __name__ == "__main__":
    fire_all(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
