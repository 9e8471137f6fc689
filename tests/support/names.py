"""Makes resolvers with answers that a test chooses."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from threading import Event
from typing import Any

from event_trigger.destinations.dns import DnsResolver

PUBLIC = "93.184.216.34"


def resolving(*answers: str | Sequence[str]) -> DnsResolver:
    """Makes a resolver that gives the next of these answers each time, and the last for ever."""
    wanted: Iterator[str | Sequence[str]] = chain(answers, repeat(answers[-1]))

    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        answer = next(wanted)
        return [_info(one, port) for one in ([answer] if isinstance(answer, str) else answer)]

    return DnsResolver(resolve)


@contextmanager
def answering_late(ending: str, **limits: int) -> Iterator[tuple[DnsResolver, list[str]]]:
    """Makes a resolver that gives loopback: for names with that ending only when the body ends.

    Yields it with a list of the names that it was asked for.
    """
    over, asked = Event(), list[str]()

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        if host.endswith(ending):
            over.wait()
        return [_info("127.0.0.1", port)]

    try:
        yield DnsResolver(resolve, **limits), asked
    finally:
        over.set()


def _info(address: str, port: int) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, 6, "", (address, port)
