"""Looks names up in threads of its own, so that a slow name server holds up nothing else."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

Lookup = Callable[[str, int], Awaitable[list[str]]]  # gives addresses in figures
Resolve = Callable[..., list[Any]]  # as socket.getaddrinfo
_THREADS = 32


class Names:
    """The system's resolver; `lookup` raises OSError for a name that has no address."""

    def __init__(self, resolve: Resolve = socket.getaddrinfo) -> None:
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="names")

    async def lookup(self, host: str, port: int) -> list[str]:
        ask = partial(self._resolve, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [str(sockaddr[0]) for *_, sockaddr in found]
