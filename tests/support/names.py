"""Name servers that answer what a test wants."""

import socket
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

from event_trigger.destinations.names import Names

PUBLIC = "93.184.216.34"


def resolving(*answers: str) -> Names:
    """A name server that answers each question with the next of these, and then with the last."""
    wanted: Iterator[str] = chain(answers, repeat(answers[-1]))

    def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        address = next(wanted)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    return Names(resolve)
